// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace cmunet::cli {
namespace {

std::atomic<pid_t> running{0};
static_assert(std::atomic<pid_t>::is_always_lock_free, "the signal handler may only touch lock-free atomics");

extern "C" void hand_on(int signal) {
  if (const pid_t child = running.load(); child > 0) ::kill(child, signal);
}

}  // namespace

std::vector<std::string> common_words(const CommonOptions& common) {
  std::vector<std::string> words{
      "--seed", std::to_string(common.seed), "--threads", std::to_string(common.threads), "--device", common.device};
  if (common.quiet) words.emplace_back("--quiet");
  return words;
}

int run_child(std::vector<std::string> words, const std::filesystem::path& log) {
  words.insert(words.begin(), program_folder() + "/cmunet");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  CMUNET_CHECK(failed == 0, ErrorCode::kInternal, "[run] cannot start ", argv[0], ": ", std::strerror(failed));
  running.store(child);
  // A terminal sends SIGINT to both; a second one would kill the child instead of letting it save.
  const auto before_int = std::signal(SIGINT, SIG_IGN), before_term = std::signal(SIGTERM, hand_on);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  running.store(0);
  std::signal(SIGINT, before_int);
  std::signal(SIGTERM, before_term);
  CMUNET_CHECK(WIFEXITED(status), ErrorCode::kInternal, "[run] a signal ended cmunet ", words[1]);
  return WEXITSTATUS(status);
}

}  // namespace cmunet::cli
