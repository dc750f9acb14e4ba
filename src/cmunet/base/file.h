// SPDX-License-Identifier: Apache-2.0
// Whole-file reading, and writing that never leaves half a file behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cmunet {

/// Reads a whole file. @throws Error kNotFound, kIo; kUnsupported when larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes = std::uint64_t{1} << 32);

/// Writes bytes under a temporary name beside `path`, flushes to disk, renames over `path`, flushes the folder.
/// A crash or a full disk leaves either the old file or the new one, never a part.
/// @throws Error kIo; kInvalidArgument when `path` is a folder, device or the like.
void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomic(const std::filesystem::path& path, std::string_view text);

/// A file written in pieces with the same guarantee: nothing stands at `path` until `commit()`;
/// destroyed without it, the temporary file is removed.
class AtomicFile {
 public:
  /// @throws Error kInvalidArgument when `path` is a folder, device or the like; kIo when its folder cannot be written.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Flushes, closes and renames. @throws Error kIo.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

/// Flushes a file's bytes, or a folder's list of names, to the disk. @throws Error kIo.
void flush_to_disk(const std::filesystem::path& path);

/// Makes sure that `dir` is a folder that can be written to, creating it and its parents.
/// When it exists and is not empty, throws kInvalidArgument unless `force`; with `force` its files stay
/// and are overwritten one by one. @throws Error kInvalidArgument, kIo.
void prepare_output_folder(const std::filesystem::path& dir, bool force);

/// Refuses what `prepare_output_folder` would refuse, and makes nothing: for --dry-run.
/// @throws Error kInvalidArgument, kIo.
void check_output_folder(const std::filesystem::path& dir, bool force);

/// Can a file be written at `path`? Call before long work, not after.
/// @throws Error kInvalidArgument when it exists and `force` is off, is a folder or device, or its folder is none; kIo
/// when its folder cannot be written to.
void check_output_file(const std::filesystem::path& path, bool force);

}  // namespace cmunet
