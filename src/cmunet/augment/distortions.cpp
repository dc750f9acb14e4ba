// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/distortions.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

constexpr int kCurvePoints = 1000;
constexpr int kBoxes = 5;
constexpr int kMargin = 3;  // px between an in-painted box and the border

struct Rectangle {
  int top = 0, left = 0, height = 0, width = 0;
};

int side_between(int side, double low, double high, Rng& rng) {
  const auto from = std::max<std::int64_t>(1, std::llround(side * low));
  return static_cast<int>(rng.integer(from, std::max(from, static_cast<std::int64_t>(std::llround(side * high)))));
}

Rectangle random_rectangle(const Picture& picture, double low, double high, int margin, Rng& rng) {
  const int height = std::min(side_between(picture.height, low, high, rng), std::max(1, picture.height - 2 * margin));
  const int width = std::min(side_between(picture.width, low, high, rng), std::max(1, picture.width - 2 * margin));
  const int space_y = picture.height - height, space_x = picture.width - width;
  const int margin_y = std::min(margin, space_y / 2), margin_x = std::min(margin, space_x / 2);
  return {static_cast<int>(rng.integer(margin_y, space_y - margin_y)),
          static_cast<int>(rng.integer(margin_x, space_x - margin_x)), height, width};
}

float noise_between(float low, float high, Rng& rng) { return low + (high - low) * static_cast<float>(rng.uniform()); }

std::span<float> values_of(const Picture& picture) {
  return {picture.values, static_cast<std::size_t>(picture.height) * static_cast<std::size_t>(picture.width)};
}

}  // namespace

void DistortionOptions::check() const { check_ranges(*this); }

void describe(DistortionOptions& o, Fields& f) {
  const std::string section = "pretrain.models_genesis.";
  f.add(section + "shuffle_probability", o.shuffle_probability, "of local pixel shuffling", kShare);
  f.add(section + "shuffle_density", o.shuffle_density, "shuffled windows per pixel", within(0, 10));
  f.add(section + "shuffle_window_max", o.shuffle_window_max, "largest window as a share of the side",
        Range{.low = 0, .high = 0.5, .excludes_low = true});
  f.add(section + "intensity_probability", o.intensity_probability, "of a random curve of grey values", kShare);
  f.add(section + "painting_probability", o.painting_probability, "of painting over", kShare);
  f.add(section + "inpainting_share", o.inpainting_share, "of boxes painted inside; else around", kShare);
  f.add(section + "repeat_probability", o.repeat_probability, "that another box follows, up to five", kShare);
}

Curve random_curve(double low, double high, bool falling, Rng& rng) {
  const double x1 = rng.uniform(low, high), y1 = rng.uniform(low, high);
  const double x2 = rng.uniform(low, high), y2 = rng.uniform(low, high);
  Curve curve;
  for (int i = 0; i < kCurvePoints; ++i) {
    const double t = static_cast<double>(i) / (kCurvePoints - 1), s = 1 - t;
    const double b0 = s * s * s, b1 = 3 * s * s * t, b2 = 3 * s * t * t, b3 = t * t * t;
    curve.x.push_back(b0 * low + b1 * x1 + b2 * x2 + b3 * high);
    curve.y.push_back(b0 * low + b1 * y1 + b2 * y2 + b3 * high);
  }
  std::ranges::sort(curve.x);
  std::ranges::sort(curve.y);
  if (falling) std::ranges::reverse(curve.y);
  return curve;
}

void through_curve(const Picture& picture, const Curve& curve) {
  for (float& value : values_of(picture)) {
    const auto above = std::ranges::upper_bound(curve.x, static_cast<double>(value));
    if (above == curve.x.begin()) {
      value = static_cast<float>(curve.y.front());
    } else if (above == curve.x.end()) {
      value = static_cast<float>(curve.y.back());
    } else {
      const auto i = static_cast<std::size_t>(above - curve.x.begin());
      const double share = (double{value} - curve.x[i - 1]) / (curve.x[i] - curve.x[i - 1]);
      value = static_cast<float>(curve.y[i - 1] + share * (curve.y[i] - curve.y[i - 1]));
    }
  }
}

void shuffle_locally(const Picture& picture, int windows, int window_max, Rng& rng) {
  const std::span<float> values = values_of(picture);
  std::vector<float> original(values.begin(), values.end());
  const Picture source{original.data(), picture.height, picture.width};
  std::vector<float> pixels;
  for (int n = 0; n < windows; ++n) {
    const int height = static_cast<int>(rng.integer(1, std::min(window_max, picture.height)));
    const int width = static_cast<int>(rng.integer(1, std::min(window_max, picture.width)));
    const int top = static_cast<int>(rng.integer(0, picture.height - height));
    const int left = static_cast<int>(rng.integer(0, picture.width - width));
    pixels.clear();
    for (int y = top; y < top + height; ++y) {
      for (int x = left; x < left + width; ++x) pixels.push_back(source.at(y, x));
    }
    for (std::size_t i = pixels.size(); i-- > 1;) std::swap(pixels[i], pixels[rng.below(i + 1)]);
    std::size_t next = 0;
    for (int y = top; y < top + height; ++y) {
      for (int x = left; x < left + width; ++x) picture.at(y, x) = pixels[next++];
    }
  }
}

void paint_inside(const Picture& picture, double repeat_probability, float low, float high, Rng& rng) {
  for (int n = 0; n < kBoxes && rng.bernoulli(repeat_probability); ++n) {
    const Rectangle box = random_rectangle(picture, 1.0 / 6, 1.0 / 3, kMargin, rng);
    for (int y = box.top; y < box.top + box.height; ++y) {
      for (int x = box.left; x < box.left + box.width; ++x) picture.at(y, x) = noise_between(low, high, rng);
    }
  }
}

void paint_outside(const Picture& picture, double repeat_probability, float low, float high, Rng& rng) {
  const std::span<float> values = values_of(picture);
  std::vector<float> original(values.begin(), values.end());
  const Picture source{original.data(), picture.height, picture.width};
  for (float& value : values) value = noise_between(low, high, rng);
  for (int n = 0; n < kBoxes; ++n) {
    if (n > 0 && !rng.bernoulli(repeat_probability)) break;
    const Rectangle box = random_rectangle(picture, 3.0 / 7, n == 0 ? 5.0 / 7 : 4.0 / 7, kMargin, rng);
    for (int y = box.top; y < box.top + box.height; ++y) {
      for (int x = box.left; x < box.left + box.width; ++x) picture.at(y, x) = source.at(y, x);
    }
  }
}

void distort(const Picture& picture, const DistortionOptions& o, Rng& rng) {
  const std::span<float> values = values_of(picture);
  const auto [low, high] = std::ranges::minmax(values);
  if (rng.bernoulli(o.shuffle_probability)) {
    const auto windows = static_cast<int>(std::lround(o.shuffle_density * picture.height * picture.width));
    const auto window_max = static_cast<int>(std::lround(o.shuffle_window_max * picture.width));
    shuffle_locally(picture, windows, std::max(2, window_max), rng);
  }
  if (rng.bernoulli(o.intensity_probability) && low < high) {
    through_curve(picture, random_curve(low, high, rng.bernoulli(0.5), rng));
  }
  if (rng.bernoulli(o.painting_probability)) {
    const bool inside = rng.bernoulli(o.inpainting_share);
    (inside ? paint_inside : paint_outside)(picture, o.repeat_probability, low, high, rng);
  }
}

}  // namespace cmunet::augment
