// SPDX-License-Identifier: Apache-2.0
// The shape of a vessel's profile, its fit, and the joining of neighbouring widths.
#include "cmunet/vessel/wall_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/vessel/chord_profile.h"
#include "cmunet/vessel/wall_chain.h"

namespace cmunet::vessel {
namespace {

double gaussian(double t, double sd) {
  return std::exp(-0.5 * t * t / (sd * sd)) / (std::sqrt(2 * std::numbers::pi) * sd);
}

// The slow twin: the integral of its definition in steps.
double chord_by_steps(double radius, double blur, double offset) {
  constexpr int kSteps = 20000;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double u = radius * (2 * (i + 0.5) / kSteps - 1);
    sum += 2 * std::sqrt(radius * radius - u * u) * gaussian(offset - u, blur) * 2 * radius / kSteps;
  }
  return sum;
}

class Profiles : public ::testing::TestWithParam<double> {};  // radius over blur

TEST_P(Profiles, AreTheBlurredChordsOfACircle) {
  const double radius = GetParam(), blur = 1.1;
  const ChordProfile profile(radius * blur, blur);
  for (const double offset : {0.0, 0.3, 1.0, 2.5, radius * blur, radius * blur + 1, radius * blur + 8}) {
    EXPECT_NEAR(profile.at(offset).chord, chord_by_steps(radius * blur, blur, offset), 2e-6 * radius * blur) << offset;
    EXPECT_NEAR(profile.at(offset).chord, profile.at(-offset).chord, 1e-12);
  }
}

TEST_P(Profiles, HaveTheSlopesThatDifferencesHave) {
  const double radius = 1.3 * GetParam(), blur = 1.3, h = 1e-4;
  const ChordProfile profile(radius, blur), wider(radius + h, blur), thinner(radius - h, blur);
  for (const double offset : {-2.0, -0.4, 0.0, 0.7, radius, radius + 1}) {
    const ChordProfile::Value value = profile.at(offset);
    EXPECT_NEAR(value.by_offset, (profile.at(offset + h).chord - profile.at(offset - h).chord) / (2 * h), 1e-4);
    EXPECT_NEAR(value.by_radius, (wider.at(offset).chord - thinner.at(offset).chord) / (2 * h), 1e-4);
  }
}

TEST_P(Profiles, HoldTheAreaOfTheCircle) {
  const double radius = GetParam();
  const ChordProfile profile(radius, 1);
  double area = 0;
  for (double t = -radius - 7; t <= radius + 7; t += 0.05) area += 0.05 * profile.at(t).chord;
  EXPECT_NEAR(area, std::numbers::pi * radius * radius, 1e-4 * radius * radius);
}

INSTANTIATE_TEST_SUITE_P(RadiusOverBlur, Profiles, ::testing::Values(0.2, 0.7, 1.0, 2.0, 5.0, 15.0));

// As thin as the blur a vessel is its Gaussian, and as wide as that.
TEST(ThinProfile, IsTheBlurItself) {
  const ChordProfile profile(0.05, 2);
  for (const double offset : {0.0, 1.0, 3.0}) {
    EXPECT_NEAR(profile.at(offset).chord / (std::numbers::pi * 0.05 * 0.05), gaussian(offset, 2), 1e-4);
  }
}

std::vector<double> values(double offset, double radius, double density, double blur) {
  const ChordProfile profile(radius, blur);
  std::vector<double> result;
  for (int i = 0; i <= 40; ++i) {
    const double t = -10 + 0.5 * i;
    result.push_back(3 - 0.02 * t + density * profile.at(t - offset).chord);
  }
  return result;
}

double steepest(double radius, double blur) {
  const ChordProfile profile(radius, blur);
  double best = 0;
  for (double t = std::max(0.0, radius - 3 * blur); t < radius + 3 * blur; t += 0.001) {
    if (profile.at(t).by_offset < profile.at(best).by_offset) best = t;
  }
  return best;
}

// The steepest places of a vessel thinner than its blur lie one blur from the middle, however thin it is; those of a
// wide one lie 0.765 blurs inside its walls (the largest slope of a blurred square root). The fit has neither error.
TEST(Walls, AreNotWhereTheProfileIsSteepest) {
  EXPECT_NEAR(steepest(0.1, 1), 1, 0.01);
  EXPECT_NEAR(steepest(60, 1), 60 - 0.765, 0.02);
  for (const double radius : {1.0, 2.0, 5.0}) {
    const std::vector<double> attenuation = values(0, radius, 0.1, 1);
    const WallFit fit = fit_walls({attenuation, -10, 0.5}, {.radius_px = radius + 0.8}, {.sd_px = 1});
    EXPECT_NEAR(fit.radius_px, radius, 0.01) << radius;
  }
}

TEST(WallFit, FindsOffsetRadiusDensityAndBackground) {
  for (const double offset : {-1.3, 0.0, 0.9}) {
    const std::vector<double> attenuation = values(offset, 3, 0.2, 1.2);
    const WallFit fit = fit_walls({attenuation, -10, 0.5}, {.radius_px = 4}, {.sd_px = 1.2});
    ASSERT_TRUE(fit.is_settled);
    EXPECT_NEAR(fit.offset_px, offset, 0.005);
    EXPECT_NEAR(fit.radius_px, 3, 0.005);
    EXPECT_NEAR(fit.density, 0.2, 0.001);
    EXPECT_NEAR(fit.background, 3, 0.005);
    EXPECT_NEAR(fit.slope, -0.02, 0.001);
    EXPECT_NEAR(fit.peak, 0.2 * chord_by_steps(3, 1.2, 0), 0.002);
    const WallFit again = fit_walls({attenuation, -10, 0.5}, {.radius_px = 4}, {.sd_px = 1.2}, 0, &fit);
    EXPECT_NEAR(again.radius_px, fit.radius_px, 0.002);
  }
}

TEST(WallFit, FallsBackOnWhatWasKnownWhereNothingIsSeen) {
  Rng rng(3);
  std::vector<double> noise;
  for (int i = 0; i <= 40; ++i) noise.push_back(rng.normal());
  const WallFit fit = fit_walls({noise, -10, 0.5}, {.radius_px = 3, .wall_sd_px = 0.1}, {.sd_px = 1}, 1);
  EXPECT_NEAR(fit.radius_px, 3, 0.3);
  EXPECT_NEAR(fit.radius_sd_px, 0.1 / std::sqrt(2), 0.01);
  const std::vector<double> flat(41, 2.0);
  EXPECT_LT(fit_walls({flat, -10, 0.5}, {.radius_px = 3}, {.sd_px = 1}).peak, 1e-6);
}

// A vessel thinner than the blur: its width and its density cannot be told apart, unless the density is known.
TEST(WallFit, KnowingTheDensityTellsThinVessels) {
  Rng rng(5);
  double free = 0, known = 0;
  for (int i = 0; i < 60; ++i) {
    std::vector<double> attenuation = values(0, 0.6, 0.2, 1);
    for (double& v : attenuation) v += 0.004 * rng.normal();
    const CutProfile profile{attenuation, -10, 0.5};
    const WallBlur blur{.sd_px = 1};
    const WallFit a = fit_walls(profile, {.radius_px = 1.4}, blur, 0.004 * 0.004);
    const WallFit b = fit_walls(profile, {1.4, 1, 0.2, 0.1}, blur, 0.004 * 0.004);
    free += std::abs(a.radius_px - 0.6) / 60, known += std::abs(b.radius_px - 0.6) / 60;
    EXPECT_LT(b.radius_sd_px, a.radius_sd_px);
  }
  EXPECT_LT(known, 0.5 * free);
  EXPECT_LT(known, 0.1);
}

TEST(WallFit, SaysHowSureItIs) {
  Rng rng(7);
  int within = 0;
  for (int i = 0; i < 400; ++i) {
    std::vector<double> attenuation = values(0, 2.5, 0.2, 1);
    // Each value six times, so that the errors of neighbours are related as they are said to be.
    double error = 0;
    for (std::size_t k = 0; k < attenuation.size(); ++k) {
      if (k % 6 == 0) error = 0.05 * rng.normal();
      attenuation[k] += error;
    }
    const WallFit fit = fit_walls({attenuation, -10, 0.5}, {.radius_px = 2.5, .wall_sd_px = 3}, {.sd_px = 1}, 0.0025);
    within += std::abs(fit.radius_px - 2.5) <= 1.96 * fit.radius_sd_px ? 1 : 0;
  }
  EXPECT_GE(within, 360);
  EXPECT_LE(within, 399);
}

// The slow twin: Gauss-Jordan on the whole matrix, which also gives the inverse.
std::vector<Estimate> joined_densely(const std::vector<Estimate>& radii, double spacing, double bend, double related) {
  const std::size_t n = radii.size();
  std::vector<std::vector<double>> a(n, std::vector<double>(2 * n));
  for (std::size_t i = 0; i < n; ++i) a[i][i] += 1 / (related * radii[i].sd * radii[i].sd), a[i][n + i] = 1;
  constexpr double kSecond[3] = {1, -2, 1};
  for (std::size_t i = 0; i + 2 < n; ++i) {
    for (std::size_t p = 0; p < 3; ++p) {
      for (std::size_t q = 0; q < 3; ++q) a[i + p][i + q] += kSecond[p] * kSecond[q] / (bend * std::pow(spacing, 3));
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double pivot = a[i][i];
    for (double& v : a[i]) v /= pivot;
    for (std::size_t k = 0; k < n; ++k) {
      if (k == i) continue;
      const double factor = a[k][i];
      for (std::size_t j = 0; j < 2 * n; ++j) a[k][j] -= factor * a[i][j];
    }
  }
  std::vector<Estimate> result(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      result[i].value += a[i][n + k] * radii[k].value / (related * radii[k].sd * radii[k].sd);
    }
    result[i].sd = std::sqrt(a[i][n + i]);
  }
  return result;
}

TEST(JoinedAlong, IsTheMostProbableCourse) {
  Rng rng(2);
  for (const std::size_t n : {1U, 2U, 3U, 4U, 25U}) {
    std::vector<Estimate> radii;
    for (std::size_t i = 0; i < n; ++i) radii.push_back({rng.uniform(2, 4), rng.uniform(0.05, 0.5)});
    const std::vector<Estimate> fast = joined_along(radii, 0.5, 0.02, 4), slow = joined_densely(radii, 0.5, 0.02, 4);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(fast[i].value, slow[i].value, 1e-6) << n;
      EXPECT_NEAR(fast[i].sd, slow[i].sd, 1e-6) << n;
    }
  }
}

TEST(JoinedAlong, KeepsStraightCoursesAndFollowsTheSureOnes) {
  std::vector<Estimate> radii;
  for (int i = 0; i < 30; ++i) radii.push_back({3 - 0.05 * i, 0.2});
  const std::vector<Estimate> straight = joined_along(radii, 0.5, 0.01, 1);
  for (std::size_t i = 0; i < radii.size(); ++i) EXPECT_NEAR(straight[i].value, radii[i].value, 1e-6);
  EXPECT_LT(straight[15].sd, 0.15);
  radii[10] = {6, 2};  // one that knows nothing
  EXPECT_NEAR(joined_along(radii, 0.5, 0.01, 1)[10].value, 2.5, 0.1);
  radii[10] = {6, 1e-3};
  EXPECT_NEAR(joined_along(radii, 0.5, 0.01, 1)[10].value, 6, 1e-3);
}

}  // namespace
}  // namespace cmunet::vessel
