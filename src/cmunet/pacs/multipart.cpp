// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/multipart.h"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "cmunet/base/error.h"

namespace cmunet::pacs {
namespace {

constexpr std::size_t kMaxHeaderBytes = 16 * 1024;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

bool may_be_in_boundary(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The next ";"-separated parameter; a quoted value may hold ";".
std::string_view next_parameter(std::string_view& text) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != ';'); ++end) {
    if (text[end] == '"') quoted = !quoted;
  }
  const std::string_view parameter = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), end + 1));
  return trimmed(parameter);
}

}  // namespace

std::optional<std::string> boundary_of(std::string_view content_type) {
  if (lower(next_parameter(content_type)) != "multipart/related") return std::nullopt;
  while (!content_type.empty()) {
    const std::string_view parameter = next_parameter(content_type);
    const std::size_t equals = parameter.find('=');
    if (equals == std::string_view::npos || lower(trimmed(parameter.substr(0, equals))) != "boundary") continue;
    std::string_view value = trimmed(parameter.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    const bool valid = !value.empty() && value.size() <= 70 && value.back() != ' ' &&
                       std::all_of(value.begin(), value.end(), may_be_in_boundary);
    return valid ? std::optional<std::string>(value) : std::nullopt;
  }
  return std::nullopt;
}

MultipartReader::MultipartReader(const std::string& boundary, Sink sink)
    : delimiter_("\r\n--" + boundary), sink_(std::move(sink)), buffer_("\r\n") {}  // the first needs no line before it

void MultipartReader::push(std::string_view bytes) {
  if (state_ == State::kDone) return;
  buffer_.append(bytes);
  while (step()) {
  }
}

// Takes what it can from the buffer; false when more bytes are needed.
bool MultipartReader::step() {
  switch (state_) {
    case State::kPreamble: return skip_to_delimiter();
    case State::kAfterDelimiter: return after_delimiter();
    case State::kHeaders: return headers();
    case State::kBody: return body();
    case State::kDone: buffer_.clear(); return false;
  }
  return false;
}

bool MultipartReader::skip_to_delimiter() {
  const std::size_t at = buffer_.find(delimiter_);
  if (at == std::string::npos) {
    buffer_.erase(0, buffer_.size() - std::min(buffer_.size(), delimiter_.size() - 1));
    return false;
  }
  buffer_.erase(0, at + delimiter_.size());
  state_ = State::kAfterDelimiter;
  return true;
}

bool MultipartReader::after_delimiter() {
  if (buffer_.starts_with("--")) {
    state_ = State::kDone;
    return true;
  }
  const std::size_t end = buffer_.find("\r\n");
  CMUNET_CHECK(std::min(end, buffer_.size()) <= kMaxHeaderBytes, ErrorCode::kCorrupt,
               "[multipart] a delimiter that does not end");
  if (end == std::string::npos) return false;
  buffer_.erase(0, end);  // the line break stays: headers may be none at all
  state_ = State::kHeaders;
  return true;
}

bool MultipartReader::headers() {
  const std::size_t end = buffer_.find("\r\n\r\n");
  CMUNET_CHECK(std::min(end, buffer_.size()) <= kMaxHeaderBytes, ErrorCode::kCorrupt,
               "[multipart] headers of more than ", kMaxHeaderBytes, " bytes");
  if (end == std::string::npos) return false;
  sink_.begin(end < 2 ? std::string_view() : std::string_view(buffer_).substr(2, end - 2));
  buffer_.erase(0, end + 4);
  state_ = State::kBody;
  return true;
}

bool MultipartReader::body() {
  const std::size_t at = buffer_.find(delimiter_);
  const bool found = at != std::string::npos;
  const std::size_t safe = found ? at : buffer_.size() - std::min(buffer_.size(), delimiter_.size() - 1);
  if (safe > 0) sink_.data(std::string_view(buffer_).substr(0, safe));
  buffer_.erase(0, found ? at + delimiter_.size() : safe);
  if (!found) return false;
  sink_.end();
  state_ = State::kAfterDelimiter;
  return true;
}

void MultipartReader::finish() const {
  CMUNET_CHECK(state_ == State::kDone, ErrorCode::kCorrupt, "[multipart] ends before its closing delimiter");
}

MultipartBody::MultipartBody(const std::string& boundary, std::span<const std::filesystem::path> files) {
  for (const std::filesystem::path& file : files) {
    std::error_code ec;
    const std::uint64_t size = std::filesystem::file_size(file, ec);
    CMUNET_CHECK(!ec, ErrorCode::kNotFound, "[multipart] ", file.string(), ": ", ec.message());
    add({.text = "\r\n--" + boundary + "\r\nContent-Type: application/dicom\r\n\r\n"});
    add({.size = size, .file = file});
  }
  add({.text = "\r\n--" + boundary + "--\r\n"});
}

void MultipartBody::add(Piece piece) {
  if (piece.file.empty()) piece.size = piece.text.size();
  piece.begin = size_;
  size_ += piece.size;
  pieces_.push_back(std::move(piece));
}

std::string MultipartBody::read(std::uint64_t offset, std::size_t length) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                      [](std::uint64_t at, const Piece& piece) { return at < piece.begin; });
  // Pieces without bytes share their beginning with the next one, which comes last.
  const Piece& piece = *std::prev(after);
  const std::uint64_t inside = offset - piece.begin;
  if (inside >= piece.size) return {};
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(length, piece.size - inside));
  if (piece.file.empty()) return piece.text.substr(static_cast<std::size_t>(inside), count);
  std::string bytes(count, '\0');
  std::ifstream in(piece.file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(inside));
  in.read(bytes.data(), static_cast<std::streamsize>(count));
  CMUNET_CHECK(static_cast<std::size_t>(in.gcount()) == count, ErrorCode::kIo, "[multipart] ", piece.file.string(),
               " could not be read, or changed while it was sent");
  return bytes;
}

}  // namespace cmunet::pacs
