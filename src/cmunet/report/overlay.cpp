// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/overlay.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

namespace cmunet::report {
namespace {

using image::ImageF;
using image::ImageRgb;
using image::Mask;
using image::Rgb;

constexpr double kTint = 0.4;        // of the vessel's inside: the contrast medium stays visible
constexpr double kErrorTint = 0.75;  // errors are what is looked for
constexpr Rgb kNoImage{40, 40, 40};

std::uint8_t mix(std::uint8_t below, std::uint8_t above, double share) {
  return static_cast<std::uint8_t>(std::lround((1.0 - share) * below + share * above));
}

Rgb mix(Rgb below, Rgb above, double share) {
  return {mix(below.r, above.r, share), mix(below.g, above.g, share), mix(below.b, above.b, share)};
}

// The 1st and 99th percentile (nearest rank) of the finite values; {0, 0} when there are none.
std::pair<float, float> grey_window(const ImageF& image) {
  std::vector<float> values;
  values.reserve(image.size());
  std::copy_if(image.begin(), image.end(), std::back_inserter(values), [](float v) { return std::isfinite(v); });
  if (values.empty()) return {0.0F, 0.0F};
  const auto percentile = [&values](double p) {
    const auto rank = static_cast<std::ptrdiff_t>(std::lround(p * static_cast<double>(values.size() - 1)));
    std::nth_element(values.begin(), values.begin() + rank, values.end());
    return values[static_cast<std::size_t>(rank)];
  };
  const float low = percentile(0.01);
  return {low, percentile(0.99)};
}

ImageRgb backdrop(const ImageF& image, const Mask& mask, const char* operation) {
  if (image.empty()) return ImageRgb(mask.height(), mask.width(), kNoImage);
  CMUNET_CHECK(image.height() == mask.height() && image.width() == mask.width(), ErrorCode::kInvalidArgument, "[",
               operation, "] image is ", image.height(), "x", image.width(), " but the mask is ", mask.height(), "x",
               mask.width(), "; both must have one size");
  return to_rgb(to_grey8(image));
}

bool is_contour(const Mask& mask, int y, int x) {
  const auto is_background = [&mask](int v, int u) { return mask.contains(v, u) && mask.at(v, u) == 0; };
  return is_background(y - 1, x) || is_background(y + 1, x) || is_background(y, x - 1) || is_background(y, x + 1);
}

}  // namespace

image::Image<std::uint8_t> to_grey8(const ImageF& image) {
  const auto [low, high] = grey_window(image);
  image::Image<std::uint8_t> out(image.height(), image.width());
  // In double: the range of two floats may exceed the largest float.
  const double range = static_cast<double>(high) - static_cast<double>(low);
  std::transform(image.begin(), image.end(), out.begin(),
                 [low = static_cast<double>(low), range](float value) -> std::uint8_t {
                   if (!std::isfinite(value)) return 0;
                   const double share = range > 0 ? (static_cast<double>(value) - low) / range : 0.5;
                   return static_cast<std::uint8_t>(std::lround(255.0 * std::clamp(share, 0.0, 1.0)));
                 });
  return out;
}

ImageRgb to_rgb(const image::Image<std::uint8_t>& grey) {
  ImageRgb out(grey.height(), grey.width());
  std::transform(grey.begin(), grey.end(), out.begin(), [](std::uint8_t v) { return Rgb{v, v, v}; });
  return out;
}

ImageRgb overlay_mask(const ImageF& image, const Mask& pred, const Mask& bridges) {
  if (!bridges.empty()) image::check_same_size(pred, bridges, "overlay_mask");
  ImageRgb out = backdrop(image, pred, "overlay_mask");
  for (int y = 0; y < pred.height(); ++y) {
    for (int x = 0; x < pred.width(); ++x) {
      if (pred.at(y, x) == 0) continue;
      const bool is_bridge = !bridges.empty() && bridges.at(y, x) != 0;
      out.at(y, x) = is_bridge ? kBridgeColour : mix(out.at(y, x), kVesselColour, is_contour(pred, y, x) ? 1.0 : kTint);
    }
  }
  return out;
}

ImageRgb overlay_errors(const ImageF& image, const Mask& pred, const Mask& target) {
  image::check_same_size(pred, target, "overlay_errors");
  ImageRgb out = backdrop(image, pred, "overlay_errors");
  for (int y = 0; y < pred.height(); ++y) {
    for (int x = 0; x < pred.width(); ++x) {
      const bool in_pred = pred.at(y, x) != 0;
      const bool in_target = target.at(y, x) != 0;
      if (!in_pred && !in_target) continue;
      const Rgb colour = in_pred && in_target ? kTruePositiveColour
                         : in_pred            ? kFalsePositiveColour
                                              : kFalseNegativeColour;
      out.at(y, x) = mix(out.at(y, x), colour, kErrorTint);
    }
  }
  return out;
}

}  // namespace cmunet::report
