// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/blur.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cmunet/augment/batch.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

// [n, 2 · radius + 1] Gaussians that add up to 1, each zero beyond its own radius.
at::Tensor gaussians(const std::vector<Blur>& blurs, int radius) {
  const std::ptrdiff_t taps = 2 * radius + 1;
  at::Tensor kernels = torch::zeros({static_cast<std::int64_t>(blurs.size()), taps});
  for (std::size_t i = 0; i < blurs.size(); ++i) {
    const auto [sigma, own_radius] = blurs[i];
    float* centre = kernels.data_ptr<float>() + static_cast<std::ptrdiff_t>(i) * taps + radius;
    std::vector<double> half{1.0};
    for (int t = 1; t <= own_radius; ++t) half.push_back(std::exp(-0.5 * t * t / (sigma * sigma)));
    const double sum = 2 * std::accumulate(half.begin(), half.end(), 0.0) - 1;
    for (int t = 0; t <= own_radius; ++t) {
      centre[t] = centre[-t] = static_cast<float>(half[static_cast<std::size_t>(t)] / sum);
    }
  }
  return kernels;
}

}  // namespace

// A convolution whose channels are the images. An image alone goes twice: a single channel is convolved by another
// algorithm, and its rounding would depend on how a batch is shared between processes.
at::Tensor blurred(const at::Tensor& images, const std::vector<Blur>& blurs) {
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3);
  if (n == 1) return blurred(torch::cat({images, images}), {blurs[0], blurs[0]}).narrow(0, 0, 1);
  const int radius = std::ranges::max(blurs, {}, &Blur::radius_px).radius_px;
  CMUNET_CHECK(radius < h && radius < w, ErrorCode::kInvalidArgument, "[augment] a blur of radius ", radius, " on ", h,
               "x", w, " images; expected larger images");
  const std::int64_t taps = 2 * radius + 1;
  const at::Tensor kernels = send(gaussians(blurs, radius), images.device());
  namespace F = torch::nn::functional;
  at::Tensor x = F::pad(images, F::PadFuncOptions({radius, radius, radius, radius}).mode(torch::kReflect));
  x = x.view({1, n, h + 2 * radius, w + 2 * radius});
  x = torch::conv2d(x, kernels.view({n, 1, taps, 1}), at::Tensor(), 1, at::IntArrayRef({0, 0}), 1, n);
  x = torch::conv2d(x, kernels.view({n, 1, 1, taps}), at::Tensor(), 1, at::IntArrayRef({0, 0}), 1, n);
  return x.view({n, 1, h, w});
}

}  // namespace cmunet::augment
