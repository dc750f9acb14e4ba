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

constexpr int kGrid = 256;  // soft shapes need no more
constexpr double kTwoPi = 2 * std::numbers::pi;

// 0 below `low`, 1 above `high`, smooth between.
double smooth_step(double low, double high, double v) {
  const double t = std::clamp((v - low) / (high - low), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

// A hump of height 1 and width about 2.5 `sigma`.
double hump(double d, double sigma) { return std::exp(-0.5 * d * d / (sigma * sigma)); }

// The picture under construction; coordinates are millimetres from its middle.
struct Canvas {
  ImageF image{kGrid, kGrid};
  double field_mm = 0;

  double mm(int i) const { return ((i + 0.5) / kGrid - 0.5) * field_mm; }
  double px(double v_mm) const { return (v_mm / field_mm + 0.5) * kGrid - 0.5; }

  template <typename Attenuation>
  void add(const Attenuation& attenuation) {
    for (int y = 0; y < kGrid; ++y) {
      for (int x = 0; x < kGrid; ++x) image.at(y, x) += static_cast<float>(attenuation(mm(y), mm(x)));
    }
  }
};

// Random grids, each enlarged twofold and joined by a finer one of `persistence` times the strength; about unit
// variance in the coarsest octave.
ImageF fractal_noise(int cells, double persistence, Rng& rng) {
  const auto random_grid = [&](int n) {
    ImageF grid(n, n);
    for (float& v : grid) v = static_cast<float>(rng.normal());
    return grid;
  };
  ImageF sum = random_grid(cells);
  double strength = 1;
  while (sum.height() < kGrid) {
    sum = image::resize_bicubic(sum, 2 * sum.height(), 2 * sum.height());
    strength *= persistence;
    for (float& v : sum) v += static_cast<float>(strength * rng.normal());
  }
  return sum.height() == kGrid ? sum : image::resize_bicubic(sum, kGrid, kGrid);
}

void add_tissue(Canvas& canvas, Rng& rng) {
  const ImageF soft = fractal_noise(4, 0.45, rng);
  const ImageF fine = fractal_noise(16, 0.85, rng);
  const double soft_strength = rng.uniform(0.05, 0.11), fine_strength = rng.uniform(0.014, 0.028);
  for (std::size_t i = 0; i < soft.size(); ++i) {
    canvas.image.data()[i] += static_cast<float>(soft_strength * static_cast<double>(soft.data()[i]) +
                                                 fine_strength * static_cast<double>(fine.data()[i]));
  }
  const double down = rng.uniform(-0.10, 0.22), right = rng.uniform(-0.18, 0.18);
  canvas.add([&](double y, double x) { return (down * y + right * x) / canvas.field_mm; });
}

// The way of the rays through the ellipsoid, a little larger than the surface on which the vessels lie.
void add_heart(Canvas& canvas, const Heart& heart, const Camera& camera, Rng& rng) {
  const double per_mm = rng.uniform(0.0018, 0.0036), larger = rng.uniform(1.12, 1.25);
  const auto scaled = [&](const Vec3& p) {
    return Vec3{dot(p, heart.anterior) / (larger * heart.ring_mm), dot(p, heart.left_ward) / (larger * heart.ring_mm),
                dot(p, heart.apex_ward) / (larger * heart.length_mm)};
  };
  const Vec3 ray = scaled(camera.towards), right = scaled(camera.right), down = scaled(camera.down);
  const double ray2 = dot(ray, ray);
  canvas.add([&](double y, double x) {
    const Vec3 p = (x + camera.aim_x_mm) * right + (y + camera.aim_y_mm) * down;
    const double along = dot(p, ray), inside = along * along - ray2 * (dot(p, p) - 1);
    if (inside <= 0) return 0.0;
    const double way_mm = 2 * std::sqrt(inside) / ray2;
    return per_mm * way_mm * smooth_step(0, 60, way_mm);  // it beats, and fat lies along its border
  });
}

// Domes below: the diaphragm with the liver or the stomach under it. Their edge is sharp, their inside even.
void add_diaphragm(Canvas& canvas, Rng& rng) {
  const auto domes = static_cast<int>(rng.integer(0, 2));
  for (int i = 0; i < domes; ++i) {
    const double radius_mm = rng.uniform(60, 120), centre_x = rng.uniform(-0.6, 0.6) * canvas.field_mm;
    const double top = rng.uniform(0.02, 0.42) * canvas.field_mm, strength = rng.uniform(0.18, 0.55);
    const double flatness = rng.uniform(0.6, 1.0), fade_mm = rng.uniform(15, 50);
    canvas.add([&](double y, double x) {
      const double depth = radius_mm - std::hypot((y - top - radius_mm), flatness * (x - centre_x));
      if (depth <= 0) return 0.0;
      return strength * (0.35 * smooth_step(0, 2.5, depth) + 0.65 * (1 - std::exp(-depth / fade_mm)));
    });
  }
}

// Vertebral bodies with their end plates, pedicles and spinous processes; a band of mediastinum beside them.
void add_spine(Canvas& canvas, const Camera& camera, Rng& rng) {
  const Vec3 spine{rng.uniform(-44, -30), 0, rng.uniform(-78, -62)};  // to the right of the heart and behind it
  const double middle_mm = camera.x_mm(spine), lean = rng.uniform(-0.10, 0.10);
  const double half_mm = rng.uniform(15, 20), period_mm = rng.uniform(23, 29), phase = rng.uniform(0, 1);
  const double column = rng.uniform(0.10, 0.24), detail = rng.uniform(0.4, 1.1);
  const double band_mm = rng.uniform(30, 46), band = rng.uniform(0.02, 0.12), band_shift = rng.uniform(-8, 14);
  canvas.add([&](double y, double x) {
    const double d = x - middle_mm - lean * y, u = std::abs(d);
    const double mediastinum = band * (1 - smooth_step(0.8 * band_mm, 1.25 * band_mm, std::abs(d - band_shift)));
    if (u > 1.5 * half_mm) return mediastinum;
    const double bow = 1.2 * (1 - d * d / (half_mm * half_mm));  // end plates are slightly curved
    const double turns = (y + bow) / period_mm + phase, t = turns - std::floor(turns);  // 0…0.2 is the disc
    const double waist = half_mm * (1 - 0.07 * std::sin(std::numbers::pi * std::max(0.0, t - 0.2) / 0.8));
    const double body = 1 - smooth_step(waist - 2.5, waist + 1, u);
    const double plates = hump((t - 0.20) * period_mm, 0.7) + hump((t - 0.99) * period_mm, 0.7);
    const double disc = smooth_step(0.0, 0.04, t) * (1 - smooth_step(0.16, 0.22, t));
    const double wall = hump(u - waist, 0.8);
    const double pedicle = hump(std::hypot((u - 0.58 * half_mm) / 1.0, 0.62 * (t - 0.42) * period_mm) - 3.2, 0.8);
    const double process = hump(std::hypot(d / 0.6, (t - 0.8) * period_mm * 0.5) - 2.5, 0.8);
    return mediastinum + body * (column + detail * (0.055 * plates - 0.05 * disc + 0.05 * pedicle + 0.04 * process)) +
           detail * 0.04 * wall * (1 - disc);
  });
}

// Ribs cross the field in shallow arcs; most of their attenuation is in the rims.
void add_ribs(Canvas& canvas, Rng& rng) {
  const double slope = rng.uniform(-0.55, 0.55), sag = rng.uniform(-0.006, 0.006), gap_mm = rng.uniform(28, 42);
  const double half_mm = rng.uniform(3.5, 5.5), strength = rng.uniform(0.02, 0.07), shift = rng.uniform(0, gap_mm);
  const double reach = rng.uniform(0.5, 1.1) * canvas.field_mm, from_right = rng.bernoulli(0.5) ? 1 : -1;
  canvas.add([&](double y, double x) {
    const double line = (y - slope * x - sag * x * x + shift) / gap_mm;
    const double d = std::abs(line - std::floor(line) - 0.5) * gap_mm;
    const double seen = 1 - smooth_step(0.6 * reach, reach, from_right * x + canvas.field_mm / 2);
    return seen * strength * (0.6 * (1 - smooth_step(half_mm - 1, half_mm + 1, d)) + 0.6 * hump(d - half_mm + 1, 0.8));
  });
}

// A faint vessel of the lung: a soft line that turns slowly.
void add_lung_vessel(Canvas& canvas, Rng& rng) {
  const double width_mm = rng.uniform(0.7, 2.2), strength = rng.uniform(0.012, 0.06), length_mm = rng.uniform(12, 50);
  double y = rng.uniform(-0.55, 0.55) * canvas.field_mm, x = rng.uniform(-0.55, 0.55) * canvas.field_mm;
  double direction = rng.uniform(0, kTwoPi);
  const double bend = rng.uniform(-0.03, 0.03), step_mm = canvas.field_mm / kGrid;
  ImageF& image = canvas.image;
  std::vector<std::pair<int, int>> line;
  const double reach = 2 * width_mm / step_mm;
  // Each pixel takes its share of every step, so that the sum along the line is even.
  const double per_step = strength * step_mm / (width_mm * std::sqrt(kTwoPi));
  for (double walked = 0; walked < length_mm; walked += step_mm) {
    const double cy = canvas.px(y), cx = canvas.px(x);
    const double fade = smooth_step(0, 6, walked) * smooth_step(0, 6, length_mm - walked);
    for (int py = static_cast<int>(cy - reach); py <= static_cast<int>(cy + reach); ++py) {
      for (int px = static_cast<int>(cx - reach); px <= static_cast<int>(cx + reach); ++px) {
        if (!image.contains(py, px)) continue;
        const double d_mm = std::hypot(py - cy, px - cx) * step_mm;
        image.at(py, px) += static_cast<float>(fade * per_step * hump(d_mm, width_mm));
      }
    }
    direction += step_mm * (bend + 0.15 * rng.normal());
    y += step_mm * std::sin(direction);
    x += step_mm * std::cos(direction);
  }
}

}  // namespace

ImageF make_background(int size, double field_mm, const Heart& heart, const Camera& camera, Rng& rng) {
  Canvas canvas;
  canvas.field_mm = field_mm;
  add_tissue(canvas, rng);
  add_heart(canvas, heart, camera, rng);
  add_diaphragm(canvas, rng);
  add_spine(canvas, camera, rng);
  add_ribs(canvas, rng);
  const auto vessels = static_cast<int>(rng.integer(25, 60));
  for (int i = 0; i < vessels; ++i) add_lung_vessel(canvas, rng);
  return size == kGrid ? canvas.image : image::resize_bicubic(canvas.image, size, size);
}

}  // namespace cmunet::phantom
