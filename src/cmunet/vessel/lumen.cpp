// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/lumen.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cmunet/image/components.h"
#include "cmunet/image/distance.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

constexpr double kBlur_px = 0.8;             // averages the steps of a mask's edge
constexpr double kContourBlur_points = 1.5;  // they are 0.7 px apart
constexpr std::int64_t kMaxHoleArea = 16;

// Background that touches the picture's border is no hole, however small.
std::vector<bool> find_holes(const image::Components& background) {
  std::vector<bool> is_hole(background.areas.size() + 1, false);
  for (std::size_t i = 0; i < background.areas.size(); ++i) is_hole[i + 1] = background.areas[i] <= kMaxHoleArea;
  const image::Image<int>& labels = background.labels;
  for (int y = 0; y < labels.height(); ++y) {
    const bool is_border_row = y == 0 || y + 1 == labels.height();
    for (int x = 0; x < labels.width(); x += is_border_row ? 1 : std::max(1, labels.width() - 1)) {
      is_hole[static_cast<std::size_t>(labels.at(y, x))] = false;
    }
  }
  return is_hole;
}

// Sets what `fill` says in every hole: fill(i) for pixel i of the data.
template <typename Fill>
void fill_holes(const image::Mask& mask, Fill fill) {
  image::Mask background(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), background.begin(), [](std::uint8_t v) { return v == 0 ? 1 : 0; });
  const image::Components parts = image::connected_components(background, 4);
  const std::vector<bool> is_hole = find_holes(parts);
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (is_hole[static_cast<std::size_t>(parts.labels.data()[i])]) fill(i);
  }
}

std::vector<double> gaussian(double sigma) {
  const int radius = static_cast<int>(std::ceil(3 * sigma));
  std::vector<double> kernel;
  double sum = 0;
  for (int t = -radius; t <= radius; ++t) sum += kernel.emplace_back(std::exp(-0.5 * t * t / (sigma * sigma)));
  for (double& weight : kernel) weight /= sum;
  return kernel;
}

// Beyond the border the image goes on as at the border: a vessel that leaves the picture does not end there.
image::ImageF blurred(const image::Mask& mask) {
  const std::vector<double> kernel = gaussian(kBlur_px);
  const int radius = static_cast<int>(kernel.size() / 2), last_y = mask.height() - 1, last_x = mask.width() - 1;
  image::Image<double> rows(mask.height(), mask.width());
  image::ImageF result(mask.height(), mask.width());
  for (int y = 0; y <= last_y; ++y) {
    for (int x = 0; x <= last_x; ++x) {
      double value = 0;
      for (int t = -radius; t <= radius; ++t) {
        value += kernel[static_cast<std::size_t>(t + radius)] * mask.at(y, std::clamp(x + t, 0, last_x));
      }
      rows.at(y, x) = value;
    }
  }
  for (int y = 0; y <= last_y; ++y) {
    for (int x = 0; x <= last_x; ++x) {
      double value = 0;
      for (int t = -radius; t <= radius; ++t) {
        value += kernel[static_cast<std::size_t>(t + radius)] * rows.at(std::clamp(y + t, 0, last_y), x);
      }
      result.at(y, x) = static_cast<float>(value);
    }
  }
  return result;
}

// A moving Gaussian along a contour. Open ends stay.
std::vector<PointF> smoothed(const std::vector<PointF>& contour) {
  const bool is_closed = contour.front() == contour.back();
  const auto n = static_cast<std::ptrdiff_t>(contour.size()) - (is_closed ? 1 : 0);
  const std::vector<double> kernel = gaussian(kContourBlur_points);
  const auto radius = static_cast<std::ptrdiff_t>(kernel.size() / 2);
  if (n <= 2 * radius) return contour;
  std::vector<PointF> result;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const std::ptrdiff_t reach = is_closed ? radius : std::min({radius, i, n - 1 - i});
    PointF point;
    double sum = 0;
    for (std::ptrdiff_t t = -reach; t <= reach; ++t) {
      const double weight = kernel[static_cast<std::size_t>(t + radius)];
      const PointF& p = contour[static_cast<std::size_t>((i + t + n) % n)];
      point.y += weight * p.y, point.x += weight * p.x, sum += weight;
    }
    result.push_back({point.y / sum, point.x / sum});
  }
  if (is_closed) result.push_back(result.front());
  return result;
}

}  // namespace

Lumen lumen_of(const image::Mask& mask) {
  const bool is_binary = std::all_of(mask.begin(), mask.end(), [](std::uint8_t v) { return v <= 1; });
  CMUNET_CHECK(!mask.empty() && is_binary, ErrorCode::kInvalidArgument, "[measure] the mask is ", mask.height(), "x",
               mask.width(), mask.empty() ? "" : " with values above 1", "; expected pixels of 0 and 1");
  Lumen lumen{.mask = mask, .occupancy = {}, .inscribed = {}, .wall = Wall::kMask};
  fill_holes(mask, [&](std::size_t i) { lumen.mask.data()[i] = 1; });
  lumen.occupancy = blurred(lumen.mask);
  lumen.inscribed = image::distance_transform(lumen.mask);
  return lumen;
}

Lumen lumen_of(const image::ImageF& probability) {
  const bool in_range = std::all_of(probability.begin(), probability.end(), [](float p) { return p >= 0 && p <= 1; });
  CMUNET_CHECK(!probability.empty() && in_range, ErrorCode::kInvalidArgument, "[measure] the probability map is ",
               probability.height(), "x", probability.width(), probability.empty() ? "" : " with values outside [0, 1]",
               "; expected pixels in [0, 1]");
  Lumen lumen{.mask = image::Mask(probability.height(), probability.width()),
              .occupancy = probability,
              .inscribed = {},
              .wall = Wall::kLevel};
  std::transform(probability.begin(), probability.end(), lumen.mask.begin(), [](float p) { return p > 0.5F ? 1 : 0; });
  const image::Mask with_holes = lumen.mask;
  fill_holes(with_holes, [&](std::size_t i) { lumen.mask.data()[i] = 1, lumen.occupancy.data()[i] = 1; });
  lumen.inscribed = image::distance_transform(lumen.mask);
  return lumen;
}

std::vector<std::vector<PointF>> contours_of(const Lumen& lumen) {
  if (lumen.wall == Wall::kLevel) return image::find_contours(lumen.occupancy, 0.5);
  std::vector<std::vector<PointF>> contours = image::find_contours(lumen.mask);
  for (std::vector<PointF>& contour : contours) contour = smoothed(contour);
  return contours;
}

}  // namespace cmunet::vessel
