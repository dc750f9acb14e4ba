// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/received_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "cmunet/base/error.h"

namespace cmunet::pacs {
namespace {

// Names this software in the files that it writes (derived from a random UUID, PS3.5 B.2).
constexpr std::string_view kImplementationClassUid = "2.25.197857698444309616764766050620320011860";

std::string little_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  return text;
}

// An element of group 2 in explicit little endian, with a value of up to 64 KiB.
std::string meta_element(std::uint32_t element, std::string_view vr, std::string value) {
  if (value.size() % 2 != 0) value.push_back('\0');
  std::string text = little_endian(2, 2) + little_endian(element, 2) + std::string(vr);
  if (vr == "OB") {
    text += little_endian(0, 2) + little_endian(static_cast<std::uint32_t>(value.size()), 4);
  } else {
    text += little_endian(static_cast<std::uint32_t>(value.size()), 2);
  }
  return text + value;
}

}  // namespace

std::string file_header(const ObjectIdentity& identity) {
  const std::string meta =
      meta_element(0x0001, "OB", std::string("\0\1", 2)) + meta_element(0x0002, "UI", identity.sop_class_uid) +
      meta_element(0x0003, "UI", identity.sop_instance_uid) + meta_element(0x0010, "UI", identity.transfer_syntax_uid) +
      meta_element(0x0012, "UI", std::string(kImplementationClassUid));
  const std::string length = little_endian(static_cast<std::uint32_t>(meta.size()), 4);
  return std::string(128, '\0') + "DICM" + meta_element(0x0000, "UL", length) + meta;
}

ReceivedFile::ReceivedFile(const std::filesystem::path& folder, const ObjectIdentity& identity, std::uint64_t max_bytes)
    : max_bytes_(max_bytes) {
  static std::atomic<unsigned> counter{0};
  path_ = folder / concat(::getpid(), ".", counter.fetch_add(1), ".part");
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  CMUNET_CHECK(fd_ >= 0, ErrorCode::kIo, "[receive] cannot create ", path_.string(), ": ", std::strerror(errno));
  const std::string header = file_header(identity);
  append(header.data(), header.size());
}

ReceivedFile::~ReceivedFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(path_.c_str());
}

void ReceivedFile::write(std::span<const std::byte> bytes) noexcept {
  size_ += bytes.size();
  if (!too_large()) append(bytes.data(), bytes.size());
}

void ReceivedFile::append(const void* data, std::size_t size) noexcept {
  const char* position = static_cast<const char*>(data);
  while (size > 0 && !failed_) {
    const ssize_t n = ::write(fd_, position, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      failed_ = true;
      return;
    }
    position += n;
    size -= static_cast<std::size_t>(n);
  }
}

std::filesystem::path ReceivedFile::commit() {
  CMUNET_CHECK(!too_large() && !failed_, ErrorCode::kInternal, "[receive] an incomplete object is not kept");
  CMUNET_CHECK(::fsync(fd_) == 0, ErrorCode::kIo, "[receive] flushing ", path_.string(), ": ", std::strerror(errno));
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(path_.c_str());
    throw Error(ErrorCode::kIo, concat("[receive] closing ", path_.string(), ": ", why));
  }
  return path_;
}

}  // namespace cmunet::pacs
