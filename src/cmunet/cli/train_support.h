// SPDX-License-Identifier: Apache-2.0
// What the commands of cmunet-train share: config loading, progress, pictures, stopping on signals.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/cli/command.h"
#include "cmunet/train/control.h"

namespace cmunet::cli {

/// --config and --set of a training command.
struct ConfigFlags {
  std::string file;
  std::vector<std::string> assignments;
};
void add_config_flags(CLI::App& app, ConfigFlags& flags);

/// Applies the file's sections that `fields` describes, then the assignments. @param other_sections are skipped.
void apply_config(const ConfigFlags& flags, Fields& fields, std::span<const std::string_view> other_sections);

/// Set by SIGINT, SIGTERM and SIGUSR1 after `install_stop_handler`; the loop then saves and stops. A second SIGINT
/// kills.
const std::atomic<bool>* install_stop_handler();

/// A progress bar on a terminal, plain lines otherwise (one per epoch), nothing when quiet; pictures go to
/// `run_dir`/pictures, and `run_dir`/report.html under `title` is renewed with every line of metrics.jsonl.
train::Observer make_observer(const CommonOptions& common, const std::filesystem::path& run_dir,
                              const std::string& title);

}  // namespace cmunet::cli
