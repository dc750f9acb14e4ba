// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/resize.h"

#include <cmath>
#include <vector>

namespace cmunet::image {
namespace {

// Keys' cubic convolution kernel with a = −0.5.
double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

struct Filter {
  double (*kernel)(double);
  double support;
};
constexpr Filter kBicubic{bicubic, 2};
constexpr Filter kBilinear{triangle, 1};

// The taps of one output pixel.
struct Taps {
  int first = 0;
  std::vector<double> weights;
};

Taps taps_of(const Filter& filter, int in, double start, double length, int out, int o) {
  const double scale = length / out;
  const double stretch = std::max(scale, 1.0);
  const double support = filter.support * stretch;
  const double centre = start + (o + 0.5) * scale;
  const double lowest = std::max(0.0, std::floor(start));
  const double highest = std::min<double>(in, std::ceil(start + length));
  Taps taps;
  taps.first = static_cast<int>(std::max(lowest, std::floor(centre - support + 0.5)));
  const int last = static_cast<int>(std::min(highest, std::floor(centre + support + 0.5)));
  double sum = 0;
  for (int i = taps.first; i < last; ++i) {
    taps.weights.push_back(filter.kernel((i + 0.5 - centre) / stretch));
    sum += taps.weights.back();
  }
  for (double& weight : taps.weights) weight /= sum;
  return taps;
}

ImageF resize(const ImageF& image, int height, int width, const Filter& filter) {
  CMUNET_CHECK(!image.empty() && height > 0 && width > 0, ErrorCode::kInvalidArgument, "[resize] from ", image.height(),
               "x", image.width(), " to ", height, "x", width, "; sizes must be positive");
  ImageF across(image.height(), width);  // first along x, then along y, as Pillow
  for (int x = 0; x < width; ++x) {
    const Taps taps = taps_of(filter, image.width(), 0, image.width(), width, x);
    for (int y = 0; y < image.height(); ++y) {
      const float* source = image.row(y) + taps.first;
      double sum = 0;
      for (std::size_t t = 0; t < taps.weights.size(); ++t) sum += taps.weights[t] * static_cast<double>(source[t]);
      across.at(y, x) = static_cast<float>(sum);
    }
  }
  ImageF result(height, width);
  std::vector<double> sums(static_cast<std::size_t>(width));
  for (int y = 0; y < height; ++y) {
    const Taps taps = taps_of(filter, image.height(), 0, image.height(), height, y);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t t = 0; t < taps.weights.size(); ++t) {
      const float* source = across.row(taps.first + static_cast<int>(t));
      for (std::size_t x = 0; x < sums.size(); ++x) sums[x] += taps.weights[t] * static_cast<double>(source[x]);
    }
    std::transform(sums.begin(), sums.end(), result.row(y), [](double v) { return static_cast<float>(v); });
  }
  result.spacing_mm = scaled_spacing(image.spacing_mm, static_cast<double>(image.height()) / height,
                                     static_cast<double>(image.width()) / width);
  return result;
}

}  // namespace

ImageF resize_bicubic(const ImageF& image, int height, int width) { return resize(image, height, width, kBicubic); }
ImageF resize_bilinear(const ImageF& image, int height, int width) { return resize(image, height, width, kBilinear); }

void fill_bicubic_weights(std::span<float> weights, int in, double start, double length, int out) {
  CMUNET_CHECK(weights.size() == static_cast<std::size_t>(in) * static_cast<std::size_t>(out),
               ErrorCode::kInvalidArgument, "[resize] ", weights.size(), " weights for ", out, "x", in);
  std::fill(weights.begin(), weights.end(), 0.0F);
  for (int o = 0; o < out; ++o) {
    const Taps taps = taps_of(kBicubic, in, start, length, out, o);
    float* row = weights.data() + static_cast<std::ptrdiff_t>(o) * in + taps.first;
    std::transform(taps.weights.begin(), taps.weights.end(), row, [](double w) { return static_cast<float>(w); });
  }
}

std::optional<Spacing> scaled_spacing(const std::optional<Spacing>& spacing, double row_factor, double col_factor) {
  if (!spacing) return std::nullopt;
  return Spacing{spacing->row_mm * row_factor, spacing->col_mm * col_factor};
}

}  // namespace cmunet::image
