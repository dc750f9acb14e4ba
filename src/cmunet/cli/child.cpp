// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace cmunet::cli {
namespace {

constexpr int kCannotStart = 127;

std::atomic<pid_t> running{0};
static_assert(std::atomic<pid_t>::is_always_lock_free, "the signal handler may only touch lock-free atomics");

// In the forked child: standard output to `log`, and SIGTERM when the parent dies in whatever way, so that no run is
// worked on by nobody's order while its successor begins.
[[noreturn]] void become(char** argv, const char* log, pid_t parent) {
  const int descriptor = ::open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  const bool ready = descriptor >= 0 && ::dup2(descriptor, STDOUT_FILENO) >= 0 &&
                     ::prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && ::getppid() == parent;
  if (ready) ::execv(argv[0], argv);
  ::_exit(kCannotStart);
}

// Runs `cmunet words…`, whose errors are in the document that it answers with. @return that, and its exit status.
std::pair<std::string, int> ask_child(std::vector<std::string> words) {
  words.insert(words.begin(), program_folder() + "/cmunet");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  CMUNET_CHECK(::pipe2(ends, O_CLOEXEC) == 0, ErrorCode::kInternal, "[run] no pipe: ", std::strerror(errno));
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    if (::dup2(ends[1], STDOUT_FILENO) >= 0 && ::dup2(nowhere, STDERR_FILENO) >= 0) ::execv(argv[0], argv.data());
    ::_exit(kCannotStart);
  }
  const std::string why = std::strerror(errno);
  ::close(ends[1]);
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 1; child > 0 && n != 0;) {
    n = ::read(ends[0], buffer, sizeof buffer);
    if (n > 0) answer.append(buffer, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  ::close(ends[0]);
  CMUNET_CHECK(child > 0, ErrorCode::kInternal, "[run] cannot start ", words.front(), ": ", why);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {answer, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
}

extern "C" void hand_on(int signal) {
  if (const pid_t child = running.load(); child > 0) ::kill(child, signal);
}

}  // namespace

std::vector<std::string> common_words(const CommonOptions& common) {
  std::vector<std::string> words{"--threads", std::to_string(common.threads)};
  if (common.seed_given) words.insert(words.end(), {"--seed", std::to_string(common.seed)});
  if (common.quiet) words.emplace_back("--quiet");
  return words;
}

std::vector<std::string> device_words(const CommonOptions& common) {
  return common.device == "cpu" ? std::vector<std::string>() : std::vector<std::string>{"--device", common.device};
}

std::string status_text(int status) {
  return concat("status ", status, status > 128 ? concat(": signal ", status - 128, " ended it") : "");
}

std::string command_line(const std::vector<std::string>& words) {
  std::string line = "cmunet";
  for (const std::string& word : words) {
    const auto is_plain = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("_-+=.,:/@%", c) != nullptr;
    };
    line += ' ';
    if (!word.empty() && std::ranges::all_of(word, is_plain)) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

void check_configuration(const std::string& command, const std::string& config,
                         const std::vector<std::string>& assignments) {
  // Neither store nor folder is looked at.
  std::vector<std::string> words{command, "--check-config", "--json", "--store", "-", "--out", "-"};
  if (!config.empty()) words.insert(words.end(), {"--config", config});
  for (const std::string& assignment : assignments) words.insert(words.end(), {"--set", assignment});
  const auto [answer, status] = ask_child(words);
  if (status == 0) return;
  const Json document = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  const bool has_message = document.is_object() && document.contains("error") && document["error"].is_object();
  throw Error(code_of_status(status), has_message ? document["error"].value("message", "")
                                                  : concat("[run] ", status_text(status), ": ", command_line(words)));
}

ErrorCode code_of_status(int status) {
  switch (status) {
    case 2: return ErrorCode::kInvalidArgument;
    case 3: return ErrorCode::kIo;
    case 4: return ErrorCode::kOutOfMemory;
    case 5: return ErrorCode::kNumeric;
    case 6:
    case 128 + SIGINT:
    case 128 + SIGTERM: return ErrorCode::kCancelled;
    default: return ErrorCode::kInternal;
  }
}

int run_child(std::vector<std::string> words, const std::filesystem::path& log) {
  words.insert(words.begin(), program_folder() + "/cmunet");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid(), child = ::fork();
  CMUNET_CHECK(child >= 0, ErrorCode::kInternal, "[run] cannot start ", argv[0], ": ", std::strerror(errno));
  if (child == 0) become(argv.data(), log.c_str(), parent);
  running.store(child);
  // A terminal sends SIGINT to both; a second one would kill the child instead of letting it save.
  const auto before_int = std::signal(SIGINT, SIG_IGN), before_term = std::signal(SIGTERM, hand_on);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  running.store(0);
  std::signal(SIGINT, before_int);
  std::signal(SIGTERM, before_term);
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  CMUNET_CHECK(WEXITSTATUS(status) != kCannotStart, ErrorCode::kInternal, "[run] cannot start ", argv[0],
               " with its output in ", log.string());
  return WEXITSTATUS(status);
}

}  // namespace cmunet::cli
