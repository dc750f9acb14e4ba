// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/vesselness.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cmunet/base/error.h"

namespace cmunet::vessel {
namespace {

using Kernel = std::vector<float>;

// A Gaussian and its first two derivatives, cut off at four standard deviations.
struct Kernels {
  Kernel smooth, first, second;
};

Kernels make_kernels(double sigma) {
  const int radius = static_cast<int>(std::ceil(4 * sigma));
  std::vector<double> gauss;
  double sum = 0;
  for (int t = -radius; t <= radius; ++t) sum += gauss.emplace_back(std::exp(-0.5 * t * t / (sigma * sigma)));
  std::vector<double> second;
  double second_sum = 0;
  Kernels kernels;
  for (int t = -radius; t <= radius; ++t) {
    const double g = gauss[static_cast<std::size_t>(t + radius)] / sum;
    kernels.smooth.push_back(static_cast<float>(g));
    kernels.first.push_back(static_cast<float>(-t / (sigma * sigma) * g));
    second_sum += second.emplace_back((t * t / (sigma * sigma) - 1) / (sigma * sigma) * g);
  }
  // A cut-off second derivative must not answer to a constant image.
  for (const double d : second) {
    kernels.second.push_back(static_cast<float>(d - second_sum / static_cast<double>(second.size())));
  }
  return kernels;
}

// Where a position beyond [0, n) lies after mirroring at the outermost pixels.
int mirrored(int i, int n) { return i < 0 ? -i : (i >= n ? 2 * n - 2 - i : i); }

image::ImageF filter_rows(const image::ImageF& image, const Kernel& kernel) {
  const int radius = static_cast<int>(kernel.size() / 2), width = image.width();
  image::ImageF result(image.height(), width);
  std::vector<float> line(static_cast<std::size_t>(width + 2 * radius));
  for (int y = 0; y < image.height(); ++y) {
    for (int x = -radius; x < width + radius; ++x) {
      line[static_cast<std::size_t>(x + radius)] = image.at(y, mirrored(x, width));
    }
    float* out = result.row(y);
    for (std::size_t k = 0; k < kernel.size(); ++k) {
      for (int x = 0; x < width; ++x) out[x] += kernel[k] * line[static_cast<std::size_t>(x) + k];
    }
  }
  return result;
}

image::ImageF filter_columns(const image::ImageF& image, const Kernel& kernel) {
  const int radius = static_cast<int>(kernel.size() / 2);
  image::ImageF result(image.height(), image.width());
  for (int y = 0; y < image.height(); ++y) {
    float* out = result.row(y);
    for (int t = -radius; t <= radius; ++t) {
      const float* in = image.row(mirrored(y + t, image.height()));
      const float weight = kernel[static_cast<std::size_t>(t + radius)];
      for (int x = 0; x < image.width(); ++x) out[x] += weight * in[x];
    }
  }
  return result;
}

}  // namespace

image::ImageF tube_response(const image::ImageF& image, std::span<const double> sigmas_px) {
  CMUNET_CHECK(!sigmas_px.empty(), ErrorCode::kInvalidArgument, "[tube_response] there is no scale; expected some");
  image::ImageF best(image.height(), image.width());
  for (const double sigma : sigmas_px) {
    CMUNET_CHECK(sigma > 0 && sigma <= 16 && 4 * sigma < std::min(image.height(), image.width()) - 1,
                 ErrorCode::kInvalidArgument, "[tube_response] a scale of ", sigma, " px on a ", image.height(), "x",
                 image.width(), " image; must be in (0, 16] and below a quarter of the sides");
    const Kernels k = make_kernels(sigma);
    const image::ImageF smooth_rows = filter_rows(image, k.smooth);
    const image::ImageF yy = filter_columns(smooth_rows, k.second);
    const image::ImageF xx = filter_columns(filter_rows(image, k.second), k.smooth);
    const image::ImageF yx = filter_columns(filter_rows(image, k.first), k.first);
    const auto scale = static_cast<float>(sigma * sigma);  // makes scales compare
    for (std::size_t i = 0; i < best.size(); ++i) {
      const float a = yy.data()[i], b = xx.data()[i], c = yx.data()[i];
      const float middle = (a + b) / 2, spread = std::hypot((a - b) / 2, c);
      best.data()[i] = std::max(best.data()[i], scale * (middle + spread - std::abs(middle - spread)));
    }
  }
  return best;
}

}  // namespace cmunet::vessel
