// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/claim.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

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

fs::path claim_file(std::string name, const fs::path& out) {
  std::ranges::replace(name, '/', '-');
  return out / "claims" / (name + ".json");
}

bool holder_has_died(const fs::path& file) {
  try {
    const Json claim = load_json(file);
    if (json_get<std::string>(claim, "host", file.string()) != host_name()) return false;
    return ::kill(json_get<pid_t>(claim, "pid", file.string()), 0) != 0 && errno == ESRCH;
  } catch (const Error&) {
    return false;  // gone in the meantime, or not yet written
  }
}

}  // namespace

std::optional<Claim> Claim::take(const std::string& job, const fs::path& out) {
  const fs::path file = claim_file(job, out);
  fs::create_directories(file.parent_path());
  if (fs::exists(file) && holder_has_died(file)) {
    log_warning("[claim] taking over ", job, ": the process that worked on it has ended");
    fs::remove(file);
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0 && errno == EEXIST) return std::nullopt;
  CMUNET_CHECK(descriptor >= 0, ErrorCode::kIo, "[claim] cannot create ", file.string(), ": ", std::strerror(errno));
  Claim claim(file);
  const std::string text = Json({{"host", host_name()}, {"pid", ::getpid()}}).dump() + "\n";
  const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(descriptor);
  CMUNET_CHECK(written, ErrorCode::kIo, "[claim] cannot write ", file.string());
  return claim;
}

Claim::Claim(Claim&& other) noexcept : file_(std::move(other.file_)) { other.file_.clear(); }

Claim::~Claim() {
  std::error_code ignored;
  if (!file_.empty()) fs::remove(file_, ignored);
}

}  // namespace cmunet::cli
