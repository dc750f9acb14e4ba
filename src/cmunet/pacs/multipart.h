// SPDX-License-Identifier: Apache-2.0
// multipart/related bodies (RFC 2046, RFC 2387) as DICOMweb sends them: read in pieces of any size from untrusted
// bytes with bounded memory, and made for sending files without loading them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cmunet::pacs {

/// The boundary of a "multipart/related" content type; none for another type, or when it is missing or not made of
/// 1 to 70 characters that a boundary may have.
std::optional<std::string> boundary_of(std::string_view content_type);

/// Takes a body apart. Bytes before the first and after the last delimiter are passed over.
class MultipartReader {
 public:
  struct Sink {
    std::function<void(std::string_view headers)> begin;  ///< header lines of a part, without the empty one
    std::function<void(std::string_view bytes)> data;     ///< any number of times
    std::function<void()> end;
  };
  MultipartReader(const std::string& boundary, Sink sink);

  /// @throws Error kCorrupt when the headers of a part exceed 16 KiB, and what the sink throws.
  void push(std::string_view bytes);
  /// @throws Error kCorrupt unless the closing delimiter came.
  void finish() const;

 private:
  enum class State { kPreamble, kAfterDelimiter, kHeaders, kBody, kDone };
  bool step();
  bool skip_to_delimiter();
  bool after_delimiter();
  bool headers();
  bool body();

  std::string delimiter_;  // with the line break before it, which belongs to it
  Sink sink_;
  State state_ = State::kPreamble;
  std::string buffer_;  // what was not understood yet: shorter than a delimiter, or the headers of a part
};

/// The body that holds files as parts of type application/dicom, read where it is needed.
class MultipartBody {
 public:
  /// @throws Error kNotFound, kIo.
  MultipartBody(const std::string& boundary, std::span<const std::filesystem::path> files);
  std::uint64_t size() const { return size_; }
  /// Up to `length` bytes from `offset`; empty at the end. @throws Error kIo when a file changed meanwhile.
  std::string read(std::uint64_t offset, std::size_t length) const;

 private:
  struct Piece {
    std::uint64_t begin = 0, size = 0;
    std::string text = {};            // either this …
    std::filesystem::path file = {};  // … or all of this
  };
  void add(Piece piece);

  std::vector<Piece> pieces_;
  std::uint64_t size_ = 0;
};

}  // namespace cmunet::pacs
