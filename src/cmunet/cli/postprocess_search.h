// SPDX-License-Identifier: Apache-2.0
// Which post-processing serves a model best, on images with known vessels.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cmunet/engine/postprocess.h"

namespace cmunet::cli {

/// What some settings give over a set of images.
struct PostprocessScore {
  double dice = 0, cl_dice = 0;  ///< means over images
  double breaks_per_100px = 0;   ///< mean over images with a defined value; NaN without
  std::int64_t bridged_px = 0;   ///< over all images
  std::int64_t removed_px = 0;
  double overlap() const { return (dice + cl_dice) / 2; }
};
using ScorePostprocess = std::function<PostprocessScore(const engine::PostprocessOptions&)>;

/// One thing that was tried.
struct PostprocessTrial {
  std::string step;  ///< "threshold 0.5", "flips", "threshold", "hysteresis", "small parts", "bridges"
  engine::PostprocessOptions options;
  PostprocessScore score;
  bool is_chosen = false;
};

/// Bridging adds few pixels, so overlap hardly sees it; it may cost this much of it.
inline constexpr double kBridgingTolerance = 0.001;

/// One step after the other, each on top of what was chosen before. Flips, threshold, hysteresis and removal keep the
/// setting with the largest mean of Dice and clDice; bridging the one with the fewest breaks among those that lose at
/// most kBridgingTolerance of it. The first of equals wins, and the first is always the step left out.
/// @param with_flips  false leaves flips out
/// @return all trials in order; each step has one that is chosen, and the last chosen one is the result
std::vector<PostprocessTrial> search_postprocessing(const ScorePostprocess& score, bool with_flips);

}  // namespace cmunet::cli
