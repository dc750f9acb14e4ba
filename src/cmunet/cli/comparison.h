// SPDX-License-Identifier: Apache-2.0
// Whether two methods differ on the same images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/report/table.h"

namespace cmunet::cli {

/// One method against another at one number of labels, on the same images.
struct Comparison {
  std::string regime, method;
  std::int64_t labels = 0;
  std::int64_t images = 0, seeds = 0;
  std::int64_t undefined = 0;                     ///< images left out because one of the values has no definition there
  double difference = 0;                          ///< mean over images of the mean over seeds of the difference
  double low = 0, high = 0;                       ///< 95 % bootstrap interval over images
  double effect_size = 0;                         ///< Cohen's d of paired differences: mean / sd over images
  double p_t = 0, p_wilcoxon = 0;                 ///< over images; NaN where undefined
  double p_t_holm = 0, p_wilcoxon_holm = 0;       ///< corrected for all comparisons that are made together
  std::vector<report::Link> runs, baseline_runs;  ///< where the values come from
};

/// Per-image values of one cell: [seed][image].
using ValuesBySeed = std::vector<std::vector<double>>;
/// Compares without names and correction; both cells have the same seeds and images. Images undefined in one of both
/// are left out. @throws Error kInvalidArgument when seeds or images differ.
Comparison compare_cells(const ValuesBySeed& cell, const ValuesBySeed& baseline, std::uint64_t bootstrap_seed = 42);

/// Fills in p_t_holm and p_wilcoxon_holm. An undefined p counts as a test without evidence, and stays undefined.
void correct_together(std::vector<Comparison>& comparisons);

/// Columns of a table of comparisons after those that name them, from the difference to the number of images.
std::vector<report::Table::Column> statistics_columns(const std::string& metric);
/// Their cells.
std::vector<report::Cell> statistics_cells(const Comparison& comparison);

}  // namespace cmunet::cli
