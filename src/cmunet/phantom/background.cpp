// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/background.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cmunet/image/resize.h"

namespace cmunet::phantom {
namespace {

using image::ImageF;

// 0 below `low`, 1 above `high`, smooth between.
double smooth_step(double low, double high, double v) {
  const double t = std::clamp((v - low) / (high - low), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

// Random values on coarse grids, enlarged smoothly and added up, each octave half as strong as the one before.
ImageF fractal_noise(int size, int first_cells, int octaves, Rng& rng) {
  ImageF sum(size, size);
  double strength = 1;
  for (int octave = 0, cells = first_cells; octave < octaves && cells < size; ++octave, cells *= 2) {
    ImageF grid(cells + 2, cells + 2);
    for (float& v : grid) v = static_cast<float>(rng.normal());
    const ImageF layer = image::resize_bicubic(grid, size, size);
    std::transform(sum.begin(), sum.end(), layer.begin(), sum.begin(),
                   [&](float a, float b) { return a + static_cast<float>(strength) * b; });
    strength /= 2;
  }
  return sum;
}

template <typename Function>
void add(ImageF& image, const Function& value) {
  const double n = image.height();
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) image.at(y, x) += static_cast<float>(value((y + 0.5) / n, (x + 0.5) / n));
  }
}

// Vertebrae: a band with brighter gaps where the discs are.
void add_spine(ImageF& image, Rng& rng) {
  const double centre = rng.uniform(0.1, 0.9), lean = rng.uniform(-0.12, 0.12), half = rng.uniform(0.07, 0.11);
  const double period = rng.uniform(0.16, 0.22), phase = rng.uniform(0, 1), strength = rng.uniform(0.12, 0.3);
  add(image, [&](double y, double x) {
    const double distance = std::abs(x - centre - lean * (y - 0.5));
    const double body = 1 - smooth_step(0.75 * half, 1.25 * half, distance);
    const double disc = 0.5 + 0.5 * std::cos(2 * std::numbers::pi * (y / period + phase));
    return strength * body * (0.75 + 0.25 * smooth_step(0.1, 0.4, disc));
  });
}

void add_ribs(ImageF& image, Rng& rng) {
  const auto count = static_cast<int>(rng.integer(3, 5));
  const double slope = rng.uniform(-0.5, 0.5), sag = rng.uniform(0.1, 0.35);
  for (int i = 0; i < count; ++i) {
    const double offset = (i + rng.uniform(-0.2, 0.2)) / count - 0.05, half = rng.uniform(0.018, 0.03);
    const double strength = rng.uniform(0.05, 0.1);
    add(image, [&](double y, double x) {
      const double line = offset + slope * (x - 0.5) + sag * (x - 0.5) * (x - 0.5);
      const double d = std::abs(y - line) / half;
      // Cortical bone attenuates most at a rib's edges.
      return strength * (1 - smooth_step(0.7, 1.2, d)) * (0.7 + 0.3 * smooth_step(0.3, 0.9, d));
    });
  }
}

void add_diaphragm(ImageF& image, Rng& rng) {
  if (!rng.bernoulli(0.7)) return;
  const double centre = rng.uniform(0.2, 0.8), top = rng.uniform(0.72, 0.98), curve = rng.uniform(0.4, 1.2);
  const double strength = rng.uniform(0.25, 0.6);
  add(image, [&](double y, double x) {
    const double edge = top + curve * (x - centre) * (x - centre);
    return strength * smooth_step(edge - 0.012, edge + 0.03, y);
  });
}

void add_heart(ImageF& image, Rng& rng) {
  const double cy = rng.uniform(0.5, 0.7), cx = rng.uniform(0.4, 0.65), ry = rng.uniform(0.35, 0.5);
  const double rx = rng.uniform(0.35, 0.5), strength = rng.uniform(0.15, 0.35);
  add(image, [&](double y, double x) {
    const double r = std::hypot((y - cy) / ry, (x - cx) / rx);
    return strength * (1 - smooth_step(0.75, 1.15, r));
  });
}

}  // namespace

ImageF make_background(int size, Rng& rng) {
  ImageF image(size, size);
  const ImageF soft = fractal_noise(size, 2, 4, rng);
  const ImageF lung = fractal_noise(size, 24, 4, rng);
  const double soft_strength = rng.uniform(0.05, 0.1), lung_strength = rng.uniform(0.010, 0.022);
  for (std::size_t i = 0; i < image.size(); ++i) {
    image.data()[i] = static_cast<float>(soft_strength * static_cast<double>(soft.data()[i]) +
                                         lung_strength * static_cast<double>(lung.data()[i]));
  }
  add_heart(image, rng);
  add_spine(image, rng);
  add_ribs(image, rng);
  add_diaphragm(image, rng);
  return image;
}

ImageF make_catheter(int size, double ostium_y, double ostium_x, double diameter_px, Rng& rng) {
  // A quadratic Bézier curve from the upper edge; the wall attenuates, the lumen holds some contrast.
  const double start_x = std::clamp(ostium_x + rng.uniform(-0.25, 0.25) * size, 0.05 * size, 0.95 * size);
  const double bend_y = ostium_y * rng.uniform(0.3, 0.8), bend_x = ostium_x + rng.uniform(-0.3, 0.3) * size;
  ImageF image(size, size);
  const double radius = diameter_px / 2;
  const int steps = 4 * size;
  for (int i = 0; i <= steps; ++i) {
    const double t = static_cast<double>(i) / steps, u = 1 - t;
    const double cy = -5 * u * u + 2 * u * t * bend_y + t * t * ostium_y;
    const double cx = start_x * u * u + 2 * u * t * bend_x + t * t * ostium_x;
    const int reach = static_cast<int>(std::ceil(radius)) + 1;
    for (int y = static_cast<int>(cy) - reach; y <= static_cast<int>(cy) + reach; ++y) {
      for (int x = static_cast<int>(cx) - reach; x <= static_cast<int>(cx) + reach; ++x) {
        if (!image.contains(y, x)) continue;
        const double d = std::hypot(y - cy, x - cx) / radius;
        if (d >= 1) continue;
        const double wall = 0.16 * std::sqrt(1 - d * d) + 0.10 * smooth_step(0.55, 0.9, d);
        image.at(y, x) = std::max(image.at(y, x), static_cast<float>(wall));
      }
    }
  }
  return image;
}

image::Mask make_collimator(int size, Rng& rng) {
  image::Mask open(size, size);
  const bool circle = rng.bernoulli(0.6);
  const double radius = circle ? rng.uniform(0.5, 0.56) : 0;
  const double margin = circle ? 0 : rng.uniform(0, 0.02), corner = rng.uniform(0.04, 0.12);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double v = std::abs((y + 0.5) / size - 0.5), u = std::abs((x + 0.5) / size - 0.5);
      bool inside = std::hypot(v, u) <= radius;
      if (!circle) {
        const double limit = 0.5 - margin, cv = std::max(0.0, v - (limit - corner)), cu = std::max(0.0, u - (limit - corner));
        inside = std::hypot(cv, cu) <= corner;
      }
      open.at(y, x) = inside ? 1 : 0;
    }
  }
  return open;
}

ImageF gaussian_blur(const ImageF& image, double sigma_px) {
  const int radius = std::max(1, static_cast<int>(std::ceil(3 * sigma_px)));
  std::vector<double> kernel;
  double sum = 0;
  for (int i = -radius; i <= radius; ++i) {
    kernel.push_back(std::exp(-0.5 * i * i / (sigma_px * sigma_px)));
    sum += kernel.back();
  }
  for (double& k : kernel) k /= sum;
  const auto reflect = [](int i, int n) { return i < 0 ? -i - 1 : i >= n ? 2 * n - 1 - i : i; };
  ImageF across(image.height(), image.width()), result(image.height(), image.width());
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      double v = 0;
      for (int i = -radius; i <= radius; ++i) {
        v += kernel[static_cast<std::size_t>(i + radius)] *
             static_cast<double>(image.at(y, reflect(x + i, image.width())));
      }
      across.at(y, x) = static_cast<float>(v);
    }
  }
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      double v = 0;
      for (int i = -radius; i <= radius; ++i) {
        v += kernel[static_cast<std::size_t>(i + radius)] *
             static_cast<double>(across.at(reflect(y + i, image.height()), x));
      }
      result.at(y, x) = static_cast<float>(v);
    }
  }
  return result;
}

}  // namespace cmunet::phantom
