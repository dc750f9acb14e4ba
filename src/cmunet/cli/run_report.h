// SPDX-License-Identifier: Apache-2.0
// report.html in a training run's folder: its curves, result and pictures so far.
#pragma once

#include <filesystem>
#include <string>

namespace cmunet::cli {

/// Writes `run_dir`/report.html from metrics.jsonl, pictures/ and, once it is there, run.json.
/// Training goes on whatever happens here: what goes wrong is a warning.
void write_run_report(const std::filesystem::path& run_dir, const std::string& title);

}  // namespace cmunet::cli
