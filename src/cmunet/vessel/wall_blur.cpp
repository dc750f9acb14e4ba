// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/wall_blur.h"

#include <algorithm>
#include <cmath>

namespace cmunet::vessel {
namespace {

// Focal spot, detector and pixels together: expected, and the limits of what is looked for.
constexpr double kBlur_px = 1.0, kLeastBlur_px = 0.5, kMostBlur_px = 2.5;
constexpr double kMostSharpening = 1.0;
constexpr int kBlurTurns = 2, kBlurRounds = 5;
// What it is found from: cuts of wide vessels whose peak² is so many times the variance of the noise.
constexpr std::size_t kBlurCuts = 24, kLeastBlurCuts = 10;
constexpr double kWide_px = 5, kClear = 100;

// Clear cuts of wide vessels, evenly chosen. Thin ones cannot tell the blur: a blurred thin one and a sharp wider one
// look the same.
std::vector<const Cut*> blur_cuts(const std::vector<Cut*>& cuts) {
  std::vector<Cut*> wide;
  for (Cut* cut : cuts) {
    if (2 * cut->half_px >= kWide_px) wide.push_back(cut);
  }
  std::vector<const Cut*> clear;
  const std::size_t every = std::max<std::size_t>(1, wide.size() / kBlurCuts);
  for (std::size_t i = 0; i < wide.size(); i += every) {
    Cut& cut = *wide[i];
    cut.fit = fit_walls(cut.profile(), cut.prior(), {.sd_px = kBlur_px});
    const WallFit& fit = *cut.fit;
    const bool is_clear = fit.is_settled && fit.density > 0 && fit.peak * fit.peak > kClear * fit.residual_variance;
    if (is_clear) clear.push_back(&cut);
  }
  return clear;
}

// Where within [low, high] a function with one valley is lowest: golden section.
template <typename Cost>
double lowest(double low, double high, int rounds, const Cost& cost) {
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low), at_a = cost(a), at_b = cost(b);
  for (int round = 0; round < rounds; ++round) {
    if (at_a < at_b) {
      high = b, b = a, at_b = at_a, a = high - kGolden * (high - low), at_a = cost(a);
    } else {
      low = a, a = b, at_a = at_b, b = low + kGolden * (high - low), at_b = cost(b);
    }
  }
  return (low + high) / 2;
}

}  // namespace

WallBlur find_blur(const std::vector<Cut*>& cuts) {
  const std::vector<const Cut*> clear = blur_cuts(cuts);
  if (clear.size() < kLeastBlurCuts) return {.sd_px = kBlur_px};
  const auto cost = [&clear](const WallBlur& blur) {
    double sum = 0;
    for (const Cut* cut : clear) {
      sum += std::log(1e-12 + fit_walls(cut->profile(), cut->prior(), blur, 0, &*cut->fit).residual_variance);
    }
    return sum;
  };
  WallBlur blur{.sd_px = kBlur_px, .sharpening = 0};
  // In turn: the two hardly depend on each other.
  for (int turn = 0; turn < kBlurTurns; ++turn) {
    blur.sd_px = lowest(kLeastBlur_px, kMostBlur_px, kBlurRounds, [&](double sd_px) {
      return cost({sd_px, blur.sharpening});
    });
    blur.sharpening = lowest(0, kMostSharpening, kBlurRounds, [&](double share) { return cost({blur.sd_px, share}); });
  }
  return blur;
}

}  // namespace cmunet::vessel
