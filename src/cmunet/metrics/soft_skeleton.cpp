// SPDX-License-Identifier: Apache-2.0
// The soft skeleton of the clDice paper on binary masks, as the reference code computes its Cl-Dice. On binary input
// every step stays binary, so bytes do.
#include <algorithm>
#include <utility>

#include "cmunet/metrics/metrics.h"

namespace cmunet::metrics {
namespace {

constexpr int kIterations = 10;
constexpr double kSmoothing = 1;

// Combines a pixel with its neighbours left and right; beyond the ends of the row a pixel is its own neighbour, which
// changes neither minimum nor maximum. `pixel(x, left, right)` is inlined: the compiler makes the middle a vector loop.
template <typename Pixel>
void for_row(int width, const Pixel& pixel) {
  if (width == 0) return;
  pixel(0, 0, std::min(1, width - 1));
  for (int x = 1; x + 1 < width; ++x) pixel(x, x - 1, x + 1);
  if (width > 1) pixel(width - 1, width - 2, width - 1);
}

// The rows above and below; the same row beyond the border.
struct Rows {
  Rows(const image::Mask& mask, int y)
      : up(mask.row(std::max(y - 1, 0))), here(mask.row(y)), down(mask.row(std::min(y + 1, mask.height() - 1))) {}
  const std::uint8_t *up, *here, *down;
};

std::uint8_t both(int a, int b) { return static_cast<std::uint8_t>(a & b); }
std::uint8_t either(int a, int b) { return static_cast<std::uint8_t>(a | b); }

// Minimum of the 3×1 and the 1×3 neighbourhood.
image::Mask soft_erode(const image::Mask& mask) {
  image::Mask result(mask.height(), mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    const Rows rows(mask, y);
    std::uint8_t* out = result.row(y);
    for_row(mask.width(), [&](int x, int left, int right) {
      const std::uint8_t vertical = both(both(rows.up[x], rows.here[x]), rows.down[x]);
      out[x] = both(vertical, both(rows.here[left], rows.here[right]));
    });
  }
  return result;
}

// Maximum of the 3×3 neighbourhood, first along x, then along y.
image::Mask soft_dilate(const image::Mask& mask) {
  image::Mask across(mask.height(), mask.width()), result(mask.height(), mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    const std::uint8_t* in = mask.row(y);
    std::uint8_t* out = across.row(y);
    for_row(mask.width(), [&](int x, int left, int right) { out[x] = either(in[x], either(in[left], in[right])); });
  }
  for (int y = 0; y < mask.height(); ++y) {
    const Rows rows(across, y);
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < mask.width(); ++x) out[x] = either(rows.here[x], either(rows.up[x], rows.down[x]));
  }
  return result;
}

// Collects what opening removes at every scale: s += relu(δ − s·δ) is a logical or on binary values.
image::Mask soft_skeleton(const image::Mask& mask) {
  image::Mask current(mask.height(), mask.width()), skeleton(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), current.begin(), [](std::uint8_t v) -> std::uint8_t { return v != 0; });
  for (int i = 0; i <= kIterations; ++i) {
    image::Mask eroded = soft_erode(current);
    const image::Mask opened = soft_dilate(eroded);
    for (std::size_t k = 0; k < current.size(); ++k) {
      skeleton.data()[k] = either(skeleton.data()[k], current.data()[k] & (1 ^ opened.data()[k]));
    }
    current = std::move(eroded);
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
