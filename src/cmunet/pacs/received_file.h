// SPDX-License-Identifier: Apache-2.0
// One object on its way from the network to the disk, byte for byte as it came, behind a DICOM file header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace cmunet::pacs {

/// What a sender says an object is; the UIDs are valid (`is_uid`).
struct ObjectIdentity {
  std::string sop_class_uid, sop_instance_uid, transfer_syntax_uid;
};

/// 128 zero bytes, "DICM" and the file meta information (DICOM PS3.10, 7.1) for a data set that follows.
std::string file_header(const ObjectIdentity& identity);

/// A file in `folder` under a name of its own that only the owner can read. Removed at the end unless committed.
class ReceivedFile {
 public:
  /// @throws Error kIo.
  ReceivedFile(const std::filesystem::path& folder, const ObjectIdentity& identity, std::uint64_t max_bytes);
  ~ReceivedFile();
  ReceivedFile(const ReceivedFile&) = delete;
  ReceivedFile& operator=(const ReceivedFile&) = delete;

  /// Appends. Never throws, because it is called from inside a library: what does not fit or cannot be written is
  /// dropped, and `too_large` or `failed` say so.
  void write(std::span<const std::byte> bytes) noexcept;
  bool too_large() const { return size_ > max_bytes_; }
  bool failed() const { return failed_; }
  /// Bytes of the data set, also those that were dropped.
  std::uint64_t size() const { return size_; }

  /// Flushes to the disk and gives the file away. @throws Error kIo; kInternal when too_large() or failed().
  std::filesystem::path commit();

 private:
  void append(const void* data, std::size_t size) noexcept;

  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
  bool failed_ = false;
};

}  // namespace cmunet::pacs
