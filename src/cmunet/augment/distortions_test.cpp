// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/distortions.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/augment/masking.h"
#include "cmunet/augment/vesselness.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

constexpr int kSide = 84;

class Distortions : public ::testing::Test {
 protected:
  Distortions() : values(kSide * kSide) {
    std::iota(values.begin(), values.end(), 0.0F);  // every pixel is known by its value
    original = values;
  }
  Picture picture() { return {values.data(), kSide, kSide}; }
  std::size_t changed() const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < values.size(); ++i) n += values[i] != original[i];
    return n;
  }

  std::vector<float> values, original;
  Rng rng{7};
};

TEST_F(Distortions, CurvesJoinTheCornersAndAreMonotone) {
  for (const bool falling : {false, true}) {
    const Curve curve = random_curve(-2, 3, falling, rng);
    EXPECT_DOUBLE_EQ(curve.x.front(), -2);
    EXPECT_DOUBLE_EQ(curve.x.back(), 3);
    EXPECT_DOUBLE_EQ(curve.y.front(), falling ? 3 : -2);
    EXPECT_DOUBLE_EQ(curve.y.back(), falling ? -2 : 3);
    EXPECT_TRUE(std::ranges::is_sorted(curve.x));
    if (falling) {
      EXPECT_TRUE(std::ranges::is_sorted(curve.y, std::greater<>()));
    } else {
      EXPECT_TRUE(std::ranges::is_sorted(curve.y));
    }
  }
}

TEST_F(Distortions, ThroughACurveIsLinearInterpolation) {
  std::vector<float> x{-1, 0, 0.5F, 1, 1.25F, 2, 9};
  through_curve({x.data(), 1, 7}, {{0, 1, 2}, {10, 20, 0}});
  EXPECT_EQ(x, (std::vector<float>{10, 10, 15, 20, 15, 0, 0}));
}

TEST_F(Distortions, ASingleWindowIsAPermutationWithinItself) {
  shuffle_locally(picture(), 1, 8, rng);
  EXPECT_LE(changed(), 64U);
  std::vector<float> sorted = values;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, original);
}

TEST_F(Distortions, ShufflingMovesNoPixelFurtherThanAWindow) {
  shuffle_locally(picture(), 2000, 5, rng);
  EXPECT_GT(changed(), values.size() / 2);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int from = static_cast<int>(picture().at(y, x));
      EXPECT_LT(std::abs(from / kSide - y), 5);
      EXPECT_LT(std::abs(from % kSide - x), 5);
    }
  }
}

// Of three pixels in a row a window is 1, 2 or 3 wide with a third each, lies at 3, 2 or 1 places, and leaves them in
// any order: the chance of each result is a sum over those.
TEST_F(Distortions, EveryOrderWithinAWindowIsAsLikely) {
  constexpr int kTrials = 36'000;
  std::map<std::vector<float>, int> seen;
  for (int i = 0; i < kTrials; ++i) {
    std::vector<float> row{0, 1, 2};
    shuffle_locally({row.data(), 1, 3}, 1, 3, rng);
    ++seen[row];
  }
  const double any_of_three = 1.0 / 18;
  const std::map<std::vector<float>, double> expected{{{0, 1, 2}, 1.0 / 3 + 1.0 / 6 + any_of_three},
                                                      {{1, 0, 2}, 1.0 / 12 + any_of_three},
                                                      {{0, 2, 1}, 1.0 / 12 + any_of_three},
                                                      {{1, 2, 0}, any_of_three},
                                                      {{2, 0, 1}, any_of_three},
                                                      {{2, 1, 0}, any_of_three}};
  for (const auto& [order, p] : expected) {
    EXPECT_NEAR(seen[order], p * kTrials, 4 * std::sqrt(p * (1 - p) * kTrials)) << order[0] << order[1] << order[2];
  }
}

// Noise uniform in [low, high) has mean (low + high) / 2 and variance (high − low)² / 12; another box follows with the
// given probability, so that none is painted inside with its complement.
TEST_F(Distortions, NoiseIsUniformAndBoxesFollowTheirProbability) {
  double sum = 0, squares = 0, n = 0;
  int unpainted = 0;
  constexpr int kTrials = 2'000;
  for (int i = 0; i < kTrials; ++i) {
    values = original;
    paint_inside(picture(), 0.7, -5, -3, rng);
    unpainted += changed() == 0;
    for (const double v : values) {
      if (v < 0) sum += v, squares += (v + 4.0) * (v + 4.0), ++n;
    }
  }
  EXPECT_NEAR(unpainted, 0.3 * kTrials, 4 * std::sqrt(0.21 * kTrials));
  EXPECT_NEAR(sum / n, -4, 4 * std::sqrt(4.0 / 12 / n));
  EXPECT_NEAR(squares / n, 4.0 / 12, 0.002);
}

TEST_F(Distortions, PaintingInsideKeepsTheBorderAndMostOfTheImage) {
  paint_inside(picture(), 1.0, -5, -4, rng);
  std::size_t painted = 0;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const float value = picture().at(y, x);
      const bool is_noise = value < 0;
      painted += is_noise;
      if (is_noise) {
        EXPECT_TRUE(y >= 3 && x >= 3 && y < kSide - 3 && x < kSide - 3);
        EXPECT_TRUE(value >= -5 && value <= -4);
      } else {
        EXPECT_EQ(value, original[static_cast<std::size_t>(y * kSide + x)]);
      }
    }
  }
  EXPECT_GE(painted, 14U * 14U);       // a box of a sixth at least
  EXPECT_LE(painted, 5U * 28U * 28U);  // five of a third at most
}

TEST_F(Distortions, PaintingOutsideKeepsBoxesAndNothingElse) {
  paint_outside(picture(), 0.0, -5, -4, rng);  // one box
  int kept = 0, top = kSide, bottom = -1, left = kSide, right = -1;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      if (picture().at(y, x) < 0) continue;
      EXPECT_EQ(picture().at(y, x), original[static_cast<std::size_t>(y * kSide + x)]);
      ++kept;
      top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
    }
  }
  const int height = bottom - top + 1, width = right - left + 1;
  EXPECT_EQ(kept, height * width);
  EXPECT_GE(std::min(height, width), 36);
  EXPECT_LE(std::max(height, width), 60);
}

TEST_F(Distortions, TheSameSeedGivesTheSamePictureAndProbabilityZeroNone) {
  Rng a(1), b(1);
  std::vector<float> other = values;
  distort(picture(), {}, a);
  distort({other.data(), kSide, kSide}, {}, b);
  EXPECT_EQ(values, other);
  EXPECT_NE(values, original);
  values = original;
  distort(picture(), {.shuffle_probability = 0, .intensity_probability = 0, .painting_probability = 0}, rng);
  EXPECT_EQ(values, original);
  EXPECT_THROW((DistortionOptions{.painting_probability = 2}).check(), Error);
}

// A dark line of Gaussian profile along y = 20 on a bright background.
at::Tensor line_image(double sigma) {
  const at::Tensor y = torch::arange(64, torch::kFloat).view({64, 1});
  return (1 - torch::exp(-(y - 20).square() / (2 * sigma * sigma))).expand({64, 64}).reshape({1, 1, 64, 64});
}

TEST(Vesselness, AnswersToDarkLinesAlone) {
  const at::Tensor answer = vesselness(line_image(2), {2.0})[0][0];
  EXPECT_GT(answer[20][32].item<float>(), 0.8F);
  EXPECT_LT(answer[40][32].item<float>(), 0.01F);
  const at::Tensor bright = vesselness(-line_image(2), {2.0})[0][0];
  EXPECT_LT(bright[20][32].item<float>(), 0.01F);
  EXPECT_LT(vesselness(torch::ones({2, 1, 64, 64}), {1.0, 3.0}).max().item<float>(), 1e-6F);
  EXPECT_THROW(vesselness(line_image(2), {}), Error);
  EXPECT_THROW(vesselness(line_image(2), {16.0}), Error);
}

TEST(WeightedPatchMask, HidesTheCountedPatchesAndPrefersHeavyOnes) {
  at::Tensor weights = torch::ones({200, 16});
  weights.select(1, 5).fill_(50);
  weights.select(1, 6).fill_(0);
  auto rngs = image_rngs(Rng(3), 0, 200);
  const at::Tensor masked = weighted_patch_mask(weights, 64, 64, 16, 0.5, rngs);
  EXPECT_EQ(masked.sizes(), (std::vector<std::int64_t>{200, 1, 64, 64}));
  const at::Tensor cells = torch::max_pool2d(masked, 16).flatten(1);
  EXPECT_TRUE(cells.sum(1).eq(8).all().item<bool>());
  EXPECT_GT(cells.select(1, 5).mean().item<float>(), 0.97F);
  EXPECT_EQ(cells.select(1, 6).sum().item<float>(), 0);
  EXPECT_NEAR(cells.select(1, 0).mean().item<float>(), 0.5, 0.12);
}

}  // namespace
}  // namespace cmunet::augment
