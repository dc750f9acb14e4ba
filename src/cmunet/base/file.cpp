// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "cmunet/base/error.h"

namespace cmunet {
namespace fs = std::filesystem;

namespace {

std::string errno_text() { return std::strerror(errno); }

void flush_folder(const fs::path& dir) {
  const int fd = ::open(dir.empty() ? "." : dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // the rename has happened; a folder that cannot be opened cannot be flushed
  ::fsync(fd);
  ::close(fd);
}

void check_writable(const fs::path& dir) {
  CMUNET_CHECK(::access(dir.c_str(), W_OK | X_OK) == 0, ErrorCode::kIo, "[output] folder ", dir.string(),
               " cannot be written to: ", errno_text());
}

// When it exists. Whether it may hold something depends on `force`.
void check_existing_folder(const fs::path& dir, bool force) {
  std::error_code ec;
  CMUNET_CHECK(fs::is_directory(dir, ec), ErrorCode::kInvalidArgument, "[output] ", dir.string(),
               " exists and is not a folder");
  const bool is_empty = fs::is_empty(dir, ec);
  CMUNET_CHECK(!ec, ErrorCode::kIo, "[output] cannot look into folder ", dir.string(), ": ", ec.message());
  if (!force && !is_empty) {
    throw Error(ErrorCode::kInvalidArgument, concat("[output] folder ", dir.string(), " is not empty"),
                "choose another --out or pass --force to overwrite its files");
  }
}

fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  return path.parent_path() / concat(".", path.filename().string(), ".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
}

}  // namespace

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  CMUNET_CHECK(status.type() != fs::file_type::not_found, ErrorCode::kNotFound, "[read] ", path.string(),
               " does not exist");
  CMUNET_CHECK(fs::status_known(status), ErrorCode::kIo, "[read] ", path.string(), ": ", ec.message());
  CMUNET_CHECK(fs::is_regular_file(status), ErrorCode::kInvalidArgument, "[read] ", path.string(),
               " is not a regular file");
  const std::uint64_t size = fs::file_size(path, ec);
  CMUNET_CHECK(!ec, ErrorCode::kIo, "[read] ", path.string(), ": ", ec.message());
  CMUNET_CHECK(size <= max_bytes, ErrorCode::kUnsupported, "[read] ", path.string(), " has ", size, " bytes; at most ",
               max_bytes, " are read");
  std::ifstream in(path, std::ios::binary);
  CMUNET_CHECK(in.good(), ErrorCode::kIo, "[read] cannot open ", path.string(), ": ", errno_text());
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  CMUNET_CHECK(static_cast<std::uint64_t>(in.gcount()) == size, ErrorCode::kIo, "[read] ", path.string(), ": got ",
               in.gcount(), " of ", size, " bytes");
  return bytes;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  // Renaming over a device or a folder would replace it.
  std::error_code ec;
  const fs::file_status status = fs::status(path_, ec);
  CMUNET_CHECK(!fs::exists(status) || fs::is_regular_file(status), ErrorCode::kInvalidArgument, "[write] ",
               path_.string(), " exists and is not a regular file");
  // A process that was killed may have left a file of the same name: in a container its number comes again.
  do {
    temporary_ = temporary_name(path_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  } while (fd_ < 0 && errno == EEXIST);
  CMUNET_CHECK(fd_ >= 0, ErrorCode::kIo, "[write] cannot create ", path_.string(), ": ", errno_text());
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw Error(ErrorCode::kIo, concat("[write] ", path_.string(), ": ", errno_text()),
                  errno == ENOSPC ? "free some disk space; the previous file, if any, is unchanged" : "");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  CMUNET_CHECK(::fsync(fd_) == 0, ErrorCode::kIo, "[write] flushing ", path_.string(), ": ", errno_text());
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const std::string why = errno_text();
    ::unlink(temporary_.c_str());
    throw Error(ErrorCode::kIo, concat("[write] ", path_.string(), ": ", why));
  }
  flush_folder(path_.parent_path());
}

void write_file_atomic(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomic(const fs::path& path, std::string_view text) {
  write_file_atomic(path, std::as_bytes(std::span(text)));
}

void flush_to_disk(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CMUNET_CHECK(fd >= 0, ErrorCode::kIo, "[write] cannot open ", path.string(), ": ", errno_text());
  const bool flushed = ::fsync(fd) == 0;
  const std::string why = errno_text();
  ::close(fd);
  CMUNET_CHECK(flushed, ErrorCode::kIo, "[write] flushing ", path.string(), ": ", why);
}

void prepare_output_folder(const fs::path& dir, bool force) {
  std::error_code ec;
  if (fs::exists(dir, ec)) {
    check_existing_folder(dir, force);
  } else {
    fs::create_directories(dir, ec);
    CMUNET_CHECK(!ec, ErrorCode::kIo, "[output] cannot create folder ", dir.string(), ": ", ec.message());
  }
  check_writable(dir);
}

void check_output_folder(const fs::path& dir, bool force) {
  std::error_code ec;
  CMUNET_CHECK(!dir.empty(), ErrorCode::kIo, "[output] the folder's name is empty");
  if (fs::exists(dir, ec)) {
    check_existing_folder(dir, force);
    return check_writable(dir);
  }
  fs::path above = fs::absolute(dir).parent_path();
  while (!fs::exists(above, ec) && above != above.root_path()) above = above.parent_path();
  CMUNET_CHECK(fs::is_directory(above, ec), ErrorCode::kIo, "[output] cannot create folder ", dir.string(), ": ",
               above.string(), " is not a folder");
  check_writable(above);
}

void check_output_file(const fs::path& path, bool force) {
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  CMUNET_CHECK(!fs::exists(status) || fs::is_regular_file(status), ErrorCode::kInvalidArgument, "[output] ",
               path.string(), " exists and is not a regular file");
  if (!force && fs::exists(status)) {
    throw Error(ErrorCode::kInvalidArgument, concat("[output] ", path.string(), " exists"),
                "choose another name or pass --force to overwrite it");
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  CMUNET_CHECK(fs::is_directory(folder, ec), ErrorCode::kInvalidArgument, "[output] ", path.string(),
               " cannot be written: ", folder.string(), " is not a folder that is there");
  check_writable(folder);
}

}  // namespace cmunet
