// SPDX-License-Identifier: Apache-2.0
// Who works on what in a folder of jobs that several processes share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace cmunet::cli {

/// The right to do a job, held as a file that only one process can create; given back at the end of its life.
class Claim {
 public:
  /// Nothing when another living process holds it. One of a process of this host that has died is taken over.
  /// @param job  its name; @param out the folder of jobs, which gets a folder claims
  static std::optional<Claim> take(const std::string& job, const std::filesystem::path& out);
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

 private:
  explicit Claim(std::filesystem::path file) : file_(std::move(file)) {}
  std::filesystem::path file_;
};

}  // namespace cmunet::cli
