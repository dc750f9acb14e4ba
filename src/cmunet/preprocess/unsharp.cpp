// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

/// Weights at -half … half; they add up to 1.
std::vector<double> gaussian(double sigma, int half) {
  std::vector<double> weights;
  double sum = 0;
  for (int i = -half; i <= half; ++i) {
    weights.push_back(std::exp(-0.5 * (i / sigma) * (i / sigma)));
    sum += weights.back();
  }
  for (double& w : weights) w /= sum;
  return weights;
}

/// A reflected line of `count` elements with `half` more at both ends is written to `line`.
void extend(const double* source, int count, int half, std::vector<double>& line) {
  line.resize(static_cast<std::size_t>(count + 2 * half));
  for (int i = -half; i < count + half; ++i) line[static_cast<std::size_t>(i + half)] = source[reflect(i, count)];
}

}  // namespace

image::ImageF unsharp_mask(const image::ImageF& grey, double radius_px, double amount) {
  const int half = static_cast<int>(std::lround(4 * radius_px));
  const std::vector<double> weights = gaussian(radius_px, half);
  const int height = grey.height();
  const int width = grey.width();

  // Both passes run along whole rows, one tap at a time, which the compiler turns into vector code.
  image::Image<double> down(height, width);
  for (int y = 0; y < height; ++y) {
    double* out = down.row(y);
    for (int k = -half; k <= half; ++k) {
      const double weight = weights[static_cast<std::size_t>(k + half)];
      const float* source = grey.row(reflect(y + k, height));
      for (int x = 0; x < width; ++x) out[x] += weight * double{source[x]};
    }
  }

  image::ImageF result = grey;
  std::vector<double> line;
  std::vector<double> smooth(static_cast<std::size_t>(width));
  for (int y = 0; y < height; ++y) {
    extend(down.row(y), width, half, line);
    std::fill(smooth.begin(), smooth.end(), 0.0);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      for (std::size_t x = 0; x < smooth.size(); ++x) smooth[x] += weights[k] * line[x + k];
    }
    for (int x = 0; x < width; ++x) {
      const double value = double{grey.at(y, x)};
      result.at(y, x) = static_cast<float>(value + amount * (value - smooth[static_cast<std::size_t>(x)]));
    }
  }
  return result;
}

}  // namespace cmunet::preprocess
