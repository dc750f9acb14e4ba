// SPDX-License-Identifier: Apache-2.0
// Runs a built program as a shell would and keeps what it says.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"

namespace cmunet {

struct Outcome {
  int status = -1;  ///< exit status; -1 when a signal ended it
  std::string out;
  std::string err;
};

/// `program arguments` through the shell; standard error goes through a file in `folder`.
inline Outcome run_program(const std::filesystem::path& program, const std::string& arguments,
                           const std::filesystem::path& folder) {
  const std::filesystem::path err = folder / "stderr.txt";
  const std::string command = concat(program, " ", arguments, " 2> ", err);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), [](FILE*) { return 0; });
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    outcome.out.append(buffer.data(), n);
  }
  const int status = pclose(pipe.get());
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.err = read_file(err);
  return outcome;
}

}  // namespace cmunet
