// SPDX-License-Identifier: Apache-2.0
// Commands that run other commands of this program.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/cli/command.h"

namespace cmunet::cli {

/// --threads, --quiet and, when it was given, --seed of `common` as words of a command line.
std::vector<std::string> common_words(const CommonOptions& common);
/// --device likewise; nothing for "cpu", with which `predict` and `evaluate` would leave the native engine.
std::vector<std::string> device_words(const CommonOptions& common);

/// Runs `cmunet words…` to its end. What it prints on standard output is appended to `log`; standard error is shared.
/// SIGTERM is handed on to it and SIGINT left to it, so that it can save.
/// @return its exit status; as in a shell, 128 + N when signal N ended it. @throws Error kInternal when it cannot be
/// started.
int run_child(std::vector<std::string> words, const std::filesystem::path& log);
/// The command as a person would type it: "cmunet predict --out 'my masks'".
std::string command_line(const std::vector<std::string>& words);

/// Lets the training program read and check what `command`, pretrain or finetune, would be told by a file (none when
/// empty) and --set. @throws Error with that program's message: kInvalidArgument naming the key and where it stands.
void check_configuration(const std::string& command, const std::string& config,
                         const std::vector<std::string>& assignments);

/// What a command that gives up because another one ended with `status` throws, so that it ends with that status
/// itself; SIGINT and SIGTERM count as cancelled.
ErrorCode code_of_status(int status);
/// For people: "status 3", "status 137: signal 9 ended it".
std::string status_text(int status);

}  // namespace cmunet::cli
