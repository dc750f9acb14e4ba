// SPDX-License-Identifier: Apache-2.0
// The finished cells of a benchmark: what was measured of each model, and where it lies.
#pragma once

#include <array>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/comparison.h"
#include "cmunet/report/diameter_agreement.h"

namespace cmunet::cli {

/// Which images a figure is about.
enum class Shown { kValidation, kTest };

/// One fine-tuned model.
struct BenchmarkCell {
  Job job;
  std::int64_t images = 0;                                       ///< it was trained on
  std::int64_t pretrain_steps = 0, steps = 0;                    ///< optimiser steps; 0 without pre-training
  std::int64_t best_step = 0;                                    ///< whose weights are the model
  double val_dice = std::numeric_limits<double>::quiet_NaN();    ///< that chose its step
  double parameters = std::numeric_limits<double>::quiet_NaN();  ///< trained in pre-training; of the UNet without one
  Json val, test;                                                ///< evaluation.json; null until that job is done
  /// The evaluation of these images; null when there is none yet.
  const Json& evaluation(Shown shown) const { return shown == Shown::kTest ? test : val; }
  /// Was it measured on these images?
  bool has_evaluation(Shown shown) const { return !evaluation(shown).is_null(); }
  /// Folder, below the benchmark's, of the run that `evaluation` or, without it, the model lies in.
  std::string folder(Shown shown) const;
  /// {"mean", "ci95", "undefined", …} over images; an empty object when there is none.
  Json summary(Shown shown, const std::string& key) const;
  /// Mean over images; NaN when there is none. Validation Dice falls back to `val_dice`.
  double metric(Shown shown, const std::string& key) const;
};

/// In the order of the plan.
std::vector<BenchmarkCell> finished_cells(const BenchmarkOptions& options, const std::filesystem::path& out);

/// A measure over the seeds of a cell that have it.
struct SeedMean {
  std::vector<const BenchmarkCell*> cells;  ///< those seeds
  double mean = 0, low = 0, high = 0;       ///< with Student's 95 % interval; NaN without seeds, the interval below two
  std::int64_t undefined = 0;               ///< images, of all seeds, that have no such value and are in no mean
};
SeedMean mean_over_seeds(const std::vector<const BenchmarkCell*>& cells, Shown shown, const std::string& key);

/// Keys of the measures of Table I.
inline constexpr std::array<const char*, 6> kTableMeasures{
    "dice", "cl_dice", "iou", "modified_hausdorff_px", "diameter_difference_px", "breaks_per_100px"};

/// Training jobs whose loss became infinite, by name.
std::vector<std::string> diverged_jobs(const BenchmarkOptions& options, const std::filesystem::path& out);

/// Test images as soon as one cell has been evaluated on them.
Shown shown_images(const std::vector<BenchmarkCell>& cells);

/// The seeds of one method, regime and number of labels.
std::vector<const BenchmarkCell*> cells_of(const std::vector<BenchmarkCell>& cells, const std::string& regime,
                                           const std::string& method, std::int64_t labels);

/// A number of an evaluation; NaN for null.
double number_or_nan(const Json& value);

/// The smallest number of labels of a benchmark; all of them, 0, count as most.
std::int64_t fewest_labels(const BenchmarkOptions& options);

/// "18 labels", "all labels".
std::string labels_title(std::int64_t labels);

/// Per-image Dice of every method against the first one at equal regime, labels and seed; corrected together.
std::vector<Comparison> comparisons_of(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                                       Shown shown);

/// Mean diameters of one cell's images, in px; images where either is undefined are left out, and counted.
struct CellDiameters {
  report::DiameterPairs pairs;
  std::int64_t undefined = 0;
};
CellDiameters diameters_of(const Json& evaluation);

}  // namespace cmunet::cli
