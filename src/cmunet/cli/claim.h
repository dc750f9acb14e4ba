// SPDX-License-Identifier: Apache-2.0
// Who works on what in a folder of jobs that several processes share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cmunet::cli {

/// The right to do a job: a lock (flock) on a file that names the holder, given back at the end of its life. The kernel
/// gives back that of a process that dies, and no earlier than that of a run it has started: those inherit the lock,
/// and a run whose parent was killed still saves its state.
class Claim {
 public:
  /// Nothing when another process holds it, or when the file names another host: whether locks reach from host to host
  /// depends on the file system, so that claim must be removed by a person. A dead process's of this host is taken
  /// over.
  /// @param job  its name; @param out the folder of jobs, which gets a folder claims. @throws Error kIo.
  static std::optional<Claim> take(const std::string& job, const std::filesystem::path& out);
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

 private:
  Claim(std::filesystem::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}
  std::filesystem::path file_;
  int descriptor_;
};

/// Waits for others to finish what they hold.
class Waiting {
 public:
  explicit Waiting(std::filesystem::path out) : out_(std::move(out)) {}
  /// Sleeps for two seconds. Says who holds the first of `jobs` whenever that is news.
  void sleep(const std::vector<std::string>& jobs);

 private:
  std::filesystem::path out_;
  std::string said_;
};

}  // namespace cmunet::cli
