// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/claim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/json.h"
#include "cmunet/base/log.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

fs::path claim_file(std::string job, const fs::path& out) {
  std::ranges::replace(job, '/', '-');
  return out / "claims" / (job + ".json");
}

struct Holder {
  std::string host;  // empty when the file names nobody
  std::int64_t pid = 0;
};

Holder holder_of(const fs::path& file) {
  try {
    const Json claim = load_json(file);
    return {json_get<std::string>(claim, "host", file.string()), json_get<std::int64_t>(claim, "pid", file.string())};
  } catch (const Error&) {
    return {};  // not written before its process died, or gone in the meantime
  }
}

// Between opening a file and locking it, its holder may have removed it: the lock is then on a file nobody else sees.
bool is_still_there(int descriptor, const fs::path& file) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// The locked file, or -1 when another process has it. Not closed on exec: see Claim.
int open_locked(const fs::path& file) {
  for (;;) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT, 0644);
    CMUNET_CHECK(descriptor >= 0, ErrorCode::kIo, "[claim] cannot create ", file.string(), ": ", std::strerror(errno));
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    const int reason = errno;
    if (locked && is_still_there(descriptor, file)) return descriptor;
    ::close(descriptor);
    if (locked || reason == EINTR) continue;
    if (reason == EWOULDBLOCK) return -1;
    throw Error(ErrorCode::kIo, concat("[claim] cannot lock ", file.string(), ": ", std::strerror(reason)),
                "jobs are shared by locks on files; use a folder on a file system that has them");
  }
}

void write_holder(int descriptor, const fs::path& file) {
  const std::string text = Json({{"host", host_name()}, {"pid", ::getpid()}}).dump() + "\n";
  const bool written = ::ftruncate(descriptor, 0) == 0 &&
                       ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  CMUNET_CHECK(written, ErrorCode::kIo, "[claim] cannot write ", file.string(), ": ", std::strerror(errno));
}

}  // namespace

std::optional<Claim> Claim::take(const std::string& job, const fs::path& out) {
  const fs::path file = claim_file(job, out);
  fs::create_directories(file.parent_path());
  const int descriptor = open_locked(file);
  if (descriptor < 0) return std::nullopt;
  const Holder before = holder_of(file);
  if (!before.host.empty() && before.host != host_name()) {
    ::close(descriptor);
    return std::nullopt;
  }
  Claim claim(file, descriptor);
  if (before.pid > 0) log_warning("[claim] taking over ", job, ": process ", before.pid, ", at work on it, has ended");
  write_holder(descriptor, file);
  return claim;
}

Claim::Claim(Claim&& other) noexcept : file_(std::move(other.file_)), descriptor_(other.descriptor_) {
  other.descriptor_ = -1;
}

Claim::~Claim() {
  if (descriptor_ < 0) return;
  std::error_code ignored;
  fs::remove(file_, ignored);  // before the lock goes: what another process locks must be the file that all see
  ::close(descriptor_);
}

void Waiting::sleep(const std::vector<std::string>& jobs) {
  std::string text = "[claim] waiting for others: ";
  if (!jobs.empty()) {
    const fs::path file = claim_file(jobs.front(), out_);
    const Holder holder = holder_of(file);
    text += jobs.front();
    if (!holder.host.empty()) text += concat(", held by process ", holder.pid, " of ", holder.host);
    if (jobs.size() > 1) text += concat(", and ", jobs.size() - 1, " more");
    if (!holder.host.empty() && holder.host != host_name()) {
      text += concat("; when that process has ended, remove ", file.string());
    }
  }
  if (text != said_) log_info(text);
  said_ = text;
  std::this_thread::sleep_for(std::chrono::seconds(2));
}

}  // namespace cmunet::cli
