// SPDX-License-Identifier: Apache-2.0
// The soft skeleton of the clDice paper on binary masks, as the reference code computes its Cl-Dice. On binary input
// every step stays binary, so bytes do.
#include <algorithm>

#include "cmunet/metrics/metrics.h"

namespace cmunet::metrics {
namespace {

constexpr int kIterations = 10;
constexpr double kSmoothing = 1;

// Minimum of the 3×1 and the 1×3 neighbourhood; pixels beyond the border do not count.
image::Mask soft_erode(const image::Mask& mask) {
  image::Mask result(mask.height(), mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      std::uint8_t value = mask.at(y, x);
      if (y > 0) value = std::min(value, mask.at(y - 1, x));
      if (y + 1 < mask.height()) value = std::min(value, mask.at(y + 1, x));
      if (x > 0) value = std::min(value, mask.at(y, x - 1));
      if (x + 1 < mask.width()) value = std::min(value, mask.at(y, x + 1));
      result.at(y, x) = value;
    }
  }
  return result;
}

// Maximum of the 3×3 neighbourhood, separably.
image::Mask soft_dilate(const image::Mask& mask) {
  image::Mask across(mask.height(), mask.width()), result(mask.height(), mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      std::uint8_t value = mask.at(y, x);
      if (x > 0) value = std::max(value, mask.at(y, x - 1));
      if (x + 1 < mask.width()) value = std::max(value, mask.at(y, x + 1));
      across.at(y, x) = value;
    }
  }
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      std::uint8_t value = across.at(y, x);
      if (y > 0) value = std::max(value, across.at(y - 1, x));
      if (y + 1 < mask.height()) value = std::max(value, across.at(y + 1, x));
      result.at(y, x) = value;
    }
  }
  return result;
}

// Collects what opening removes at every scale: s += relu(δ − s·δ) is a logical or on binary values.
image::Mask soft_skeleton(const image::Mask& mask) {
  image::Mask current(mask.height(), mask.width()), skeleton(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), current.begin(), [](std::uint8_t v) -> std::uint8_t { return v != 0; });
  for (int i = 0; i <= kIterations; ++i) {
    const image::Mask eroded = soft_erode(current);
    const image::Mask opened = soft_dilate(eroded);
    for (int y = 0; y < mask.height(); ++y) {
      for (int x = 0; x < mask.width(); ++x) {
        if (current.at(y, x) != 0 && opened.at(y, x) == 0) skeleton.at(y, x) = 1;
      }
    }
    current = eroded;
  }
  return skeleton;
}

// (Σ skeleton·mask + 1) / (Σ skeleton + 1)
double smoothed_share(const image::Mask& skeleton, const image::Mask& mask) {
  const Counts counts = count(skeleton, mask);
  return (static_cast<double>(counts.tp) + kSmoothing) / (static_cast<double>(counts.tp + counts.fp) + kSmoothing);
}

}  // namespace

double soft_cl_dice(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "soft_cl_dice");
  const double precision = smoothed_share(soft_skeleton(pred), target);
  const double sensitivity = smoothed_share(soft_skeleton(target), pred);
  return 2 * precision * sensitivity / (precision + sensitivity);
}

}  // namespace cmunet::metrics
