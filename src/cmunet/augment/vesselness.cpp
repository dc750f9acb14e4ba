// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/vesselness.h"

#include <torch/torch.h>

#include <cmath>

#include "cmunet/augment/batch.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

constexpr double kBeta = 0.5;
// Squared second derivatives below this are rounding: images are z-scored.
constexpr double kNoiseFloor = 1e-6;

// A Gaussian and its first two derivatives, cut off at four standard deviations: [3][2 · radius + 1].
at::Tensor derivatives(double sigma, int radius) {
  at::Tensor kernels = torch::empty({3, 2 * radius + 1}, torch::kDouble);
  auto k = kernels.accessor<double, 2>();
  double sum = 0;
  for (int t = -radius; t <= radius; ++t) sum += std::exp(-0.5 * t * t / (sigma * sigma));
  for (int t = -radius; t <= radius; ++t) {
    const double g = std::exp(-0.5 * t * t / (sigma * sigma)) / sum;
    k[0][t + radius] = g;
    k[1][t + radius] = -t / (sigma * sigma) * g;
    k[2][t + radius] = (t * t / (sigma * sigma) - 1) / (sigma * sigma) * g;
  }
  // A cut-off second derivative must not answer to a constant image.
  kernels[2] -= kernels[2].mean();
  return kernels.to(at::kFloat);
}

at::Tensor at_scale(const at::Tensor& images, double sigma) {
  const int radius = static_cast<int>(std::ceil(4 * sigma));
  CMUNET_CHECK(sigma > 0 && sigma <= 16 && radius < images.size(2) && radius < images.size(3),
               ErrorCode::kInvalidArgument, "[vesselness] a scale of ", sigma, " px on ", images.size(2), "x",
               images.size(3), " images; must be in (0, 16] and below a quarter of the sides");
  namespace F = torch::nn::functional;
  const at::Tensor padded = F::pad(images, F::PadFuncOptions({radius, radius, radius, radius}).mode(torch::kReflect));
  const at::Tensor kernels = send(derivatives(sigma, radius), images.device());
  const std::int64_t taps = 2 * radius + 1;
  const auto second = [&](int along_y, int along_x) {  // σ²: scales compare
    const at::Tensor rows = torch::conv2d(padded, kernels[along_y].view({1, 1, taps, 1}));
    return torch::conv2d(rows, kernels[along_x].view({1, 1, 1, taps})) * (sigma * sigma);
  };
  const at::Tensor yy = second(2, 0), xx = second(0, 2), yx = second(1, 1);
  const at::Tensor middle = (yy + xx) / 2, spread = torch::hypot((yy - xx) / 2, yx);
  const at::Tensor high = middle + spread, low = middle - spread;
  const at::Tensor high_is_second = high.abs() >= low.abs();
  const at::Tensor second_value = torch::where(high_is_second, high, low);
  const at::Tensor first_value = torch::where(high_is_second, low, high);
  const at::Tensor norm2 = first_value.square() + second_value.square();
  const at::Tensor c2 = (norm2.amax({1, 2, 3}, true) / 4).clamp_min(kNoiseFloor);
  const at::Tensor blob2 = (first_value / second_value.clamp_min(1e-12)).square();
  const at::Tensor answer = torch::exp(-blob2 / (2 * kBeta * kBeta)) * (1 - torch::exp(-norm2 / (2 * c2)));
  return torch::where(second_value > 0, answer, torch::zeros_like(answer));
}

}  // namespace

at::Tensor vesselness(const at::Tensor& images, const std::vector<double>& sigmas_px) {
  CMUNET_CHECK(!sigmas_px.empty(), ErrorCode::kInvalidArgument, "[vesselness] there is no scale; expected some");
  const torch::NoGradGuard no_grad;
  at::Tensor result;
  for (const double sigma : sigmas_px) {
    const at::Tensor answer = at_scale(images, sigma);
    result = result.defined() ? torch::maximum(result, answer) : answer;
  }
  return result;
}

}  // namespace cmunet::augment
