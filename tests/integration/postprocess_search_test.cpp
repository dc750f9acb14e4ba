// SPDX-License-Identifier: Apache-2.0
// How post-processing is chosen, on scores whose best settings are known.
#include "cmunet/cli/postprocess_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace cmunet::cli {
namespace {

using engine::PostprocessOptions;

const PostprocessTrial& result_of(const std::vector<PostprocessTrial>& trials) {
  return *std::find_if(trials.rbegin(), trials.rend(), [](const PostprocessTrial& t) { return t.is_chosen; });
}

// Best at threshold 0.4, hysteresis from 0.2, parts below 50 px removed; bridges up to 8 px mend, longer ones cost.
PostprocessScore peaked(const PostprocessOptions& o) {
  PostprocessScore s;
  s.dice = 0.8 - std::abs(o.threshold - 0.4) - 0.1 * std::abs(o.low_threshold.value_or(o.threshold) - 0.2) -
           1e-4 * std::abs(static_cast<double>(o.min_area_px) - 50) - (o.max_gap_px > 8 ? 0.01 : 0.0);
  s.cl_dice = s.dice - 0.02;
  s.breaks_per_100px = 2 - 0.1 * static_cast<double>(o.max_gap_px) + (o.max_gap_px > 0 ? o.min_gap_probability : 0);
  return s;
}

TEST(PostprocessSearch, FindsEachStepsBestOnTopOfTheLast) {
  const std::vector<PostprocessTrial> trials = search_postprocessing(peaked, true);
  const PostprocessOptions chosen = result_of(trials).options;
  EXPECT_FALSE(chosen.flips);  // equal: the first, left out, wins
  EXPECT_DOUBLE_EQ(chosen.threshold, 0.4);
  EXPECT_DOUBLE_EQ(chosen.low_threshold.value(), 0.2);
  EXPECT_EQ(chosen.min_area_px, 50);
  EXPECT_EQ(chosen.max_gap_px, 8);  // 12 has fewer breaks but loses more than the tolerance
  EXPECT_DOUBLE_EQ(chosen.min_gap_probability, 0.1);
  EXPECT_EQ(std::ranges::count_if(trials, &PostprocessTrial::is_chosen), 6);
  EXPECT_EQ(trials.front().options, PostprocessOptions{});
}

TEST(PostprocessSearch, LeavesOutWhatDoesNotHelp) {
  const auto flat = [](const PostprocessOptions&) { return PostprocessScore{0.7, 0.7, 1.0, 0, 0}; };
  EXPECT_EQ(result_of(search_postprocessing(flat, true)).options, PostprocessOptions{});
}

TEST(PostprocessSearch, NeverTriesFlipsWithoutLeave) {
  const auto likes_flips = [](const PostprocessOptions& o) {
    return PostprocessScore{o.flips ? 0.9 : 0.5, 0.5, 1, 0, 0};
  };
  EXPECT_TRUE(result_of(search_postprocessing(likes_flips, true)).options.flips);
  const std::vector<PostprocessTrial> trials = search_postprocessing(likes_flips, false);
  EXPECT_TRUE(std::ranges::none_of(trials, [](const PostprocessTrial& t) { return t.options.flips; }));
}

// Where nothing is ever found, breaks are undefined: bridging has nothing to show and is left out.
TEST(PostprocessSearch, UndefinedBreaksChooseNothing) {
  const auto undefined = [](const PostprocessOptions&) { return PostprocessScore{0.1, 0.1, std::nan(""), 0, 0}; };
  EXPECT_EQ(result_of(search_postprocessing(undefined, false)).options.max_gap_px, 0);
}

}  // namespace
}  // namespace cmunet::cli
