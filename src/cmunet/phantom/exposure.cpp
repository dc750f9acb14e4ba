// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/exposure.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cmunet::phantom {
namespace {

using image::ImageF;

constexpr double kReferenceSize = 512;  // blur and dose are given for pictures of this size
constexpr double kScatter = 0.06;       // share of the median that reaches the detector from everywhere

double median_inside(const ImageF& values, const image::Mask& open) {
  std::vector<float> seen;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (open.data()[i] != 0) seen.push_back(values.data()[i]);
  }
  const auto middle = seen.begin() + static_cast<std::ptrdiff_t>(seen.size() / 2);
  std::nth_element(seen.begin(), middle, seen.end());
  return static_cast<double>(*middle);
}

std::vector<float> gaussian(double sigma_px, int radius) {
  std::vector<float> kernel;
  double sum = 0;
  for (int i = -radius; i <= radius; ++i) sum += std::exp(-0.5 * i * i / (sigma_px * sigma_px));
  for (int i = -radius; i <= radius; ++i) {
    kernel.push_back(static_cast<float>(std::exp(-0.5 * i * i / (sigma_px * sigma_px)) / sum));
  }
  return kernel;
}

// The opening's edge as the focal spot blurs it; some radiation leaks through the shutters.
ImageF transmission(const image::Mask& open, double edge_px, double leak) {
  ImageF through(open.height(), open.width());
  std::transform(open.begin(), open.end(), through.begin(),
                 [&](std::uint8_t o) { return o != 0 ? 1.0F : static_cast<float>(leak); });
  return gaussian_blur(through, edge_px);
}

}  // namespace

image::Mask make_collimator(int size, Rng& rng) {
  const double kind = rng.uniform(), radius = rng.uniform(0.50, 0.57), corner = rng.uniform(0.02, 0.09);
  double margin[4];  // top, bottom, left, right; negative: outside the picture
  for (double& m : margin) m = rng.uniform(-0.03, 0.05);
  image::Mask open(size, size, 1);
  if (kind > 0.75) return open;
  const bool circle = kind < 0.3;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double v = (y + 0.5) / size, u = (x + 0.5) / size;
      bool inside = std::hypot(v - 0.5, u - 0.5) <= radius;
      if (!circle) {
        const double past_y = std::max({0.0, margin[0] + corner - v, v - 1 + margin[1] + corner});
        const double past_x = std::max({0.0, margin[2] + corner - u, u - 1 + margin[3] + corner});
        inside = std::hypot(past_y, past_x) <= corner;
      }
      open.at(y, x) = inside ? 1 : 0;
    }
  }
  return open;
}

image::Image<std::uint8_t> expose(const ImageF& attenuation, const image::Mask& open, const Options& options,
                                  Rng& rng) {
  const int size = attenuation.height();
  const double scale = size / kReferenceSize;
  const double middle = rng.uniform(112, 150), contrast = rng.uniform(0.85, 1.25);
  const double sharpening = rng.uniform(0.1, 0.6), sharp_px = rng.uniform(1.5, 4), leak = rng.uniform(0.01, 0.1);
  const double edge_px = rng.uniform(1.0, 3.0);
  const double median = median_inside(attenuation, open);

  // 1. Quanta that reach the detector: Beer-Lambert, scatter, collimator, focal spot.
  const double quanta_at_median = options.photons / (scale * scale);  // the same dose per square millimetre
  ImageF quanta(size, size);
  std::transform(attenuation.begin(), attenuation.end(), quanta.begin(), [&](float a) {
    return static_cast<float>((1 - kScatter) * std::exp(median - static_cast<double>(a)) + kScatter);
  });
  quanta = gaussian_blur(quanta, options.blur_px * scale);
  const ImageF through = transmission(open, edge_px * scale, leak);
  // 2. Quantum noise; then light spreads in the detector, so that the noise of neighbours is related.
  for (std::size_t i = 0; i < quanta.size(); ++i) {
    const double mean = quanta_at_median * static_cast<double>(quanta.data()[i] * through.data()[i]);
    quanta.data()[i] = static_cast<float>(static_cast<double>(rng.poisson(mean)) / quanta_at_median);
  }
  quanta = gaussian_blur(quanta, 0.55);
  // 3. Display: contrast curve through the middle grey, edges sharpened.
  ImageF grey(size, size);
  std::transform(quanta.begin(), quanta.end(), grey.begin(),
                 [&](float q) { return static_cast<float>(middle * std::pow(static_cast<double>(q), contrast)); });
  const ImageF smooth = gaussian_blur(grey, std::max(0.7, sharp_px * scale));
  image::Image<std::uint8_t> image(size, size);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const double g = static_cast<double>(grey.data()[i]), s = static_cast<double>(smooth.data()[i]);
    image.data()[i] = static_cast<std::uint8_t>(std::lround(std::clamp(g + sharpening * (g - s), 0.0, 255.0)));
  }
  return image;
}

ImageF gaussian_blur(const ImageF& image, double sigma_px) {
  const int radius = static_cast<int>(std::ceil(3 * sigma_px)), height = image.height(), width = image.width();
  if (radius <= 0) return image;
  const std::vector<float> kernel = gaussian(sigma_px, radius);
  ImageF across(height, width), result(height, width);
  std::vector<float> padded(static_cast<std::size_t>(width + 2 * radius));
  for (int y = 0; y < height; ++y) {
    const float* row = image.row(y);
    std::fill_n(padded.begin(), radius, row[0]);
    std::copy_n(row, width, padded.begin() + radius);
    std::fill_n(padded.begin() + radius + width, radius, row[width - 1]);
    float* out = across.row(y);
    for (std::size_t k = 0; k < kernel.size(); ++k) {
      for (int x = 0; x < width; ++x) out[x] += kernel[k] * padded[static_cast<std::size_t>(x) + k];
    }
  }
  for (int y = 0; y < height; ++y) {
    float* out = result.row(y);
    for (int k = -radius; k <= radius; ++k) {
      const float* row = across.row(std::clamp(y + k, 0, height - 1));
      const float weight = kernel[static_cast<std::size_t>(k + radius)];
      for (int x = 0; x < width; ++x) out[x] += weight * row[x];
    }
  }
  return result;
}

}  // namespace cmunet::phantom
