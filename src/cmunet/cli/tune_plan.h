// SPDX-License-Identifier: Apache-2.0
// A grid of fine-tuning settings, and what the folds of a cross-validation say about each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/report/table.h"

namespace cmunet::cli {

/// Section [tune] of a configuration: `folds`, and lists of values for keys of [finetune].
struct TuneOptions {
  int folds = 3;
  /// Keys without "finetune."; every combination is a setting. The paper's grid unless the file names a key.
  std::vector<std::pair<std::string, std::vector<Json>>> grid;
};
/// @throws Error kInvalidArgument naming the key: no list, an empty one, fewer than two folds.
TuneOptions read_tune_options(const Json& config, const std::string& origin);

/// One point of the grid.
struct Setting {
  std::vector<std::pair<std::string, Json>> values;
  /// "batch_size=16,lr=0.001": for people, and the name of its folder.
  std::string name() const;
  /// "finetune.lr=0.001" and the like, for --set.
  std::vector<std::string> assignments() const;
};
/// The first key of the grid varies slowest.
std::vector<Setting> settings_of(const TuneOptions& options);

/// Validation Dice of one fold's run, step by step.
struct FoldCurve {
  bool diverged = false;  ///< the loss became infinite: the setting is out
  std::vector<std::int64_t> steps;
  std::vector<double> dice;
};
/// The curve of a finished or diverged run; nothing before that. @throws Error kCorrupt.
std::optional<FoldCurve> read_fold(const std::filesystem::path& run);

/// What the folds say about a setting.
struct Score {
  std::int64_t folds_done = 0;
  bool diverged = false;  ///< in some fold
  std::int64_t step = 0;  ///< where the mean over folds is highest, the first such; 0 until all folds are done
  double dice = 0;        ///< that mean
  double sd = 0;          ///< over folds, there
};
/// Means are taken at equal steps. Choosing the step from the mean, and not in each fold on its own, keeps the score
/// that of a model that can be trained: one number of steps for all images.
/// @throws Error kCorrupt when finished curves differ in their steps.
Score score_of(const std::vector<std::optional<FoldCurve>>& folds);

/// The setting with the highest Dice, the first of equals; nothing when all diverged or some are not done.
std::optional<std::size_t> best_of(const std::vector<Score>& scores, int folds);

/// A row per setting, in the order of the grid.
report::Table score_table(const std::vector<Setting>& settings, const std::vector<Score>& scores);

}  // namespace cmunet::cli
