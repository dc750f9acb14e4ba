// SPDX-License-Identifier: Apache-2.0
#include "cmunet/metrics/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"

namespace cmunet::metrics {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ImageResult result_of(const std::string& id, const Counts& counts, double hausdorff_px) {
  ImageResult result{id, {}};
  result.metrics.counts = counts;
  result.metrics.dice = dice(counts);
  result.metrics.iou = iou(counts);
  result.metrics.modified_hausdorff_px = hausdorff_px;
  result.metrics.diameter_difference_px = kNan;
  return result;
}

std::vector<ImageResult> three_images() {
  return {result_of("a", {1, 0, 1, 7}, 2), result_of("b", {0, 3, 5, 1}, kNan), result_of("c", {0, 0, 0, 9}, 5)};
}

TEST(Evaluation, AveragesImagesAndPoolsPixels) {
  const Evaluation e = summarise(three_images(), 1);
  EXPECT_NEAR(e.dice.mean, (2.0 / 3 + 0 + 1) / 3, 1e-15);
  EXPECT_NEAR(e.dice.sd, std::sqrt(((1.0 / 81) + (25.0 / 81) + (16.0 / 81)) / 2), 1e-15);  // from the mean, 5/9
  EXPECT_NEAR(e.iou.mean, (0.5 + 0 + 1) / 3, 1e-15);
  EXPECT_DOUBLE_EQ(e.pooled_dice, 2.0 / (2 + 3 + 6));
  EXPECT_DOUBLE_EQ(e.pooled_iou, 1.0 / (1 + 3 + 6));
  EXPECT_NEAR(e.pooled_iou, e.pooled_dice / (2 - e.pooled_dice), 1e-15);
  EXPECT_EQ(e.images.size(), 3U);
}

TEST(Evaluation, CountsUndefinedValuesAndLeavesThemOut) {
  const Evaluation e = summarise(three_images(), 1);
  EXPECT_EQ(e.modified_hausdorff_px.n, 2);
  EXPECT_EQ(e.modified_hausdorff_px.undefined, 1);
  EXPECT_DOUBLE_EQ(e.modified_hausdorff_px.mean, 3.5);
  EXPECT_EQ(e.modified_hausdorff_px.ci95, (std::array<double, 2>{2, 5}));  // a resample is twice one value often enough
  EXPECT_EQ(e.diameter_difference_px.n, 0);
  EXPECT_EQ(e.diameter_difference_px.undefined, 3);
  EXPECT_TRUE(std::isnan(e.diameter_difference_px.mean));
}

TEST(Evaluation, FollowsItsSeedAndRefusesNoImages) {
  std::vector<ImageResult> images;
  for (int i = 0; i < 20; ++i) images.push_back(result_of(std::to_string(i), {i, 3, 2, 9}, 0.1 * i * i));
  EXPECT_EQ(summarise(images, 1).dice.ci95, summarise(images, 1).dice.ci95);
  EXPECT_NE(summarise(images, 1).dice.ci95, summarise(images, 2).dice.ci95);
  const Evaluation e = summarise(images, 1);
  EXPECT_LT(e.dice.ci95[0], e.dice.mean);
  EXPECT_GT(e.dice.ci95[1], e.dice.mean);
  EXPECT_THROW(summarise({}, 1), Error);
}

// Every field has a number of its own, so that none passes for another: 1 to 13 in image 0, ten times their squares in
// image 1.
ImageResult numbered_image(int image) {
  const auto number = [image](int field) { return image == 0 ? field : 10 * field * field; };
  ImageResult result{concat("image", image), {}};
  ImageMetrics& m = result.metrics;
  m.counts = {number(1), number(2), number(3), number(4)};
  m.dice = number(5), m.cl_dice = number(6), m.iou = number(7);
  m.modified_hausdorff_px = number(8), m.diameter_difference_px = number(9);
  m.breaks_per_100px = number(10), m.soft_cl_dice = number(11);
  m.pred_diameter_px = number(12), m.target_diameter_px = number(13);
  return result;
}

TEST(Evaluation, JsonHasEveryNumberOfAnImageUnderItsName) {
  const Json json = to_json(summarise({numbered_image(0), numbered_image(1)}, 1));
  EXPECT_EQ(json.at("disclaimer"), kDisclaimer);
  const char* const expected = R"([
      {"id": "image0", "dice": 5, "cl_dice": 6, "iou": 7, "modified_hausdorff_px": 8, "diameter_difference_px": 9,
       "breaks_per_100px": 10, "soft_cl_dice": 11, "pred_diameter_px": 12, "target_diameter_px": 13,
       "tp": 1, "fp": 2, "fn": 3, "tn": 4},
      {"id": "image1", "dice": 250, "cl_dice": 360, "iou": 490, "modified_hausdorff_px": 640,
       "diameter_difference_px": 810, "breaks_per_100px": 1000, "soft_cl_dice": 1210, "pred_diameter_px": 1440,
       "target_diameter_px": 1690, "tp": 10, "fp": 40, "fn": 90, "tn": 160}])";
  EXPECT_EQ(json.at("images"), parse_json(expected, "expected"));
  EXPECT_DOUBLE_EQ(json.at("pooled").at("dice").get<double>(), 2.0 * 11 / (2 * 11 + 42 + 93));
  EXPECT_DOUBLE_EQ(json.at("pooled").at("iou").get<double>(), 11.0 / (11 + 42 + 93));
}

TEST(Evaluation, JsonHasEveryMeanUnderItsName) {
  const Json metrics = to_json(summarise({numbered_image(0), numbered_image(1)}, 1)).at("metrics");
  EXPECT_EQ(metrics.size(), 7U);
  const char* const names[] = {
      "dice", "cl_dice", "iou", "modified_hausdorff_px", "diameter_difference_px", "breaks_per_100px", "soft_cl_dice"};
  double low = 5;
  for (const char* name : names) {
    const Json& summary = metrics.at(name);
    const double high = 10 * low * low;
    EXPECT_DOUBLE_EQ(summary.at("mean").get<double>(), (low + high) / 2) << name;
    EXPECT_DOUBLE_EQ(summary.at("sd").get<double>(), (high - low) / std::sqrt(2)) << name;
    EXPECT_EQ(summary.at("ci95"), Json({low, high})) << name;  // a resample is twice one value often enough
    EXPECT_EQ(summary.at("n"), 2) << name;
    EXPECT_EQ(summary.at("undefined"), 0) << name;
    EXPECT_EQ(summary.size(), 5U) << name;
    ++low;
  }
}

TEST(Evaluation, JsonHasNullWhereAValueIsUndefined) {
  const Json json = to_json(summarise(three_images(), 1));
  EXPECT_TRUE(json.at("images").at(1).at("modified_hausdorff_px").is_null());
  EXPECT_TRUE(json.at("metrics").at("diameter_difference_px").at("mean").is_null());
  EXPECT_EQ(json.at("metrics").at("diameter_difference_px").at("ci95"), Json({nullptr, nullptr}));
  EXPECT_EQ(json.at("metrics").at("modified_hausdorff_px").at("undefined"), 1);
  const Json single = to_json(summarise({three_images().front()}, 1));
  EXPECT_TRUE(single.at("metrics").at("dice").at("sd").is_null());  // one image has no spread
}

}  // namespace
}  // namespace cmunet::metrics
