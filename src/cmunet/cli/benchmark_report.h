// SPDX-License-Identifier: Apache-2.0
// What a benchmark's finished cells say together.
#pragma once

#include <filesystem>

#include "cmunet/base/json.h"
#include "cmunet/cli/benchmark_plan.h"

namespace cmunet::cli {

/// Gathers the finished cells below `out` and writes benchmark.json, cells.csv and report.html there.
/// Validation figures are those that chose the models; test figures appear once `--test` has made them.
/// @return the content of benchmark.json
Json write_benchmark_report(const BenchmarkOptions& options, const std::filesystem::path& out);

/// One method against the first one of the benchmark at one number of labels, on the same test images.
struct Comparison {
  std::string regime, method;
  std::int64_t labels = 0;
  std::int64_t images = 0, seeds = 0;
  double difference = 0;           ///< mean over images of the mean over seeds of the difference in Dice
  double low = 0, high = 0;        ///< 95 % bootstrap interval over images
  double effect_size = 0;          ///< Cohen's d of paired differences: mean / sd over images
  double p_wilcoxon = 0, p_t = 0;  ///< over images
  double p_holm = 0;               ///< Wilcoxon's, corrected for all comparisons of the benchmark
};

/// Per-image Dice of one cell: [seed][image].
using DiceBySeed = std::vector<std::vector<double>>;
/// Compares without names and correction; both cells have the same seeds and images. Images undefined in one of both
/// are left out.
Comparison compare_cells(const DiceBySeed& cell, const DiceBySeed& baseline);

}  // namespace cmunet::cli
