// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/chord_profile.h"

#include <cmath>
#include <numbers>

namespace cmunet::vessel {
namespace {

// The error of the quadrature falls as exp(−2 k²) with k places per blur.
constexpr double kPlacesPerBlur = 2.7;
constexpr int kFewestPlaces = 6;
constexpr double kReach = 5.3;  // blurs; a Gaussian is 1e-6 there

}  // namespace

ChordProfile::ChordProfile(double radius, double blur) : radius_(radius), blur_(blur) {
  const int n = kFewestPlaces + static_cast<int>(std::ceil(kPlacesPerBlur * radius / blur));
  for (int j = 1; j <= n; ++j) {
    const double angle = j * std::numbers::pi / (n + 1), sine = std::sin(angle);
    places_.push_back(std::cos(angle));
    weights_.push_back(2 * radius * radius * std::numbers::pi / (n + 1) * sine * sine /
                       (std::sqrt(2 * std::numbers::pi) * blur));
  }
}

ChordProfile::Value ChordProfile::at(double offset) const {
  Value value;
  double lever = 0;
  for (std::size_t j = 0; j < places_.size(); ++j) {
    const double way = (offset - radius_ * places_[j]) / blur_;
    if (std::abs(way) > kReach) continue;
    const double share = weights_[j] * std::exp(-0.5 * way * way);
    value.chord += share;
    value.by_offset -= share * way / blur_;
    lever += share * way / blur_ * places_[j];
  }
  value.by_radius = 2 * value.chord / radius_ + lever;
  return value;
}

}  // namespace cmunet::vessel
