// SPDX-License-Identifier: Apache-2.0
// Whether two methods differ on the same images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cmunet::cli {

/// One method against another at one number of labels, on the same images.
struct Comparison {
  std::string regime, method;
  std::int64_t labels = 0;
  std::int64_t images = 0, seeds = 0;
  double difference = 0;           ///< mean over images of the mean over seeds of the difference
  double low = 0, high = 0;        ///< 95 % bootstrap interval over images
  double effect_size = 0;          ///< Cohen's d of paired differences: mean / sd over images
  double p_wilcoxon = 0, p_t = 0;  ///< over images
  double p_holm = 0;               ///< Wilcoxon's, corrected for all comparisons that are made together
};

/// Per-image values of one cell: [seed][image].
using ValuesBySeed = std::vector<std::vector<double>>;
/// Compares without names and correction; both cells have the same seeds and images. Images undefined in one of both
/// are left out. @throws Error kInvalidArgument when seeds or images differ.
Comparison compare_cells(const ValuesBySeed& cell, const ValuesBySeed& baseline);

/// Fills in p_holm.
void correct_together(std::vector<Comparison>& comparisons);

}  // namespace cmunet::cli
