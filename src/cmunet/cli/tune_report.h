// SPDX-License-Identifier: Apache-2.0
// What `cmunet tune` writes beside its runs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/cli/tune_plan.h"

namespace cmunet::cli {

/// A search as far as it has come.
struct TuneState {
  const TuneOptions& options;
  const std::vector<Setting>& settings;
  const std::vector<Score>& scores;
  std::optional<std::size_t> best;  ///< once all folds are done
};

/// One line: "batch_size=16,lr=0.001: Dice 0.6120 ± 0.0210 at step 400", or that it diverged, or how many folds are
/// done.
std::string line_of(const Setting& setting, const Score& score);

/// Writes tune.json, tune.csv and report.html to `out`. @return the content of tune.json, with "table" as plain text.
Json write_tune_report(const TuneState& state, const std::filesystem::path& out);

}  // namespace cmunet::cli
