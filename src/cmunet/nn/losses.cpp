// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/losses.h"

#include <torch/torch.h>

#include <array>

#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/nn/exact.h"

namespace cmunet::nn {
namespace F = torch::nn::functional;

at::Tensor soft_dice_loss(const at::Tensor& prob, const at::Tensor& target, double epsilon) {
  CMUNET_CHECK(prob.sizes() == target.sizes(), ErrorCode::kInvalidArgument, "[soft_dice_loss] prob is ", prob.sizes(),
               " but target is ", target.sizes(), "; both must be [N, H, W]");
  const at::Tensor t = target.to(prob.scalar_type());
  const at::Tensor sums = sum_over_processes(torch::stack({(prob * t).sum(), prob.sum() + t.sum()}));
  return 1 - (2 * sums[0] + epsilon) / (sums[1] + epsilon);
}

SegmentationLoss segmentation_loss(const at::Tensor& logits, const at::Tensor& target, double lambda_ce) {
  const bool shapes_ok = logits.dim() == 4 && logits.size(1) == 2 && target.dim() == 3 &&
                         logits.size(0) == target.size(0) && logits.size(2) == target.size(1) &&
                         logits.size(3) == target.size(2);
  CMUNET_CHECK(shapes_ok, ErrorCode::kInvalidArgument, "[segmentation_loss] logits are ", logits.sizes(),
               " and target is ", target.sizes(), "; expected [N, 2, H, W] and [N, H, W]");
  const at::Tensor log_prob = torch::log_softmax(logits, 1);
  const at::Tensor cross_entropy =
      mean_over_processes(torch::nll_loss2d(log_prob, target.to(torch::kLong), {}, at::Reduction::Sum), target.numel());
  const at::Tensor dice = soft_dice_loss(log_prob.select(1, 1).exp(), target);
  return {dice + lambda_ce * cross_entropy, dice.detach(), cross_entropy.detach()};
}

at::Tensor mse(const at::Tensor& pred, const at::Tensor& target) {
  return mean_over_processes(torch::mse_loss(pred, target, at::Reduction::Sum), pred.numel());
}

at::Tensor masked_mse(const at::Tensor& pred, const at::Tensor& target, const at::Tensor& masked) {
  CMUNET_CHECK(pred.sizes() == target.sizes() && pred.sizes() == masked.sizes(), ErrorCode::kInvalidArgument,
               "[masked_mse] pred is ", pred.sizes(), ", target ", target.sizes(), ", masked ", masked.sizes(),
               "; all must be [N, 1, H, W]");
  const at::Tensor count = sum_over_processes(masked.sum()).clamp_min(1);
  return sum_over_processes(((pred - target).square() * masked).sum()) / count;
}

at::Tensor info_nce(const at::Tensor& p, const at::Tensor& k, double temperature) {
  const bool shapes_ok = p.dim() == 2 && k.dim() == 2 && p.size(1) == k.size(1) && k.size(0) >= p.size(0);
  CMUNET_CHECK(shapes_ok, ErrorCode::kInvalidArgument, "[info_nce] p is ", p.sizes(), " and k is ", k.sizes(),
               "; expected [N, D] and [M, D] with M >= N");
  CMUNET_CHECK(temperature > 0, ErrorCode::kInvalidArgument, "[info_nce] temperature is ", temperature,
               "; must be positive");
  // Divided by a temperature of 0.07, similarities of 16 bits would take a few dozen values.
  const WithoutAutocast exact;
  const auto unit = F::NormalizeFuncOptions().dim(1);
  const Gathered keys = gather_rows(F::normalize(at_least_single(k), unit));
  const at::Tensor logits =
      F::normalize(at_least_single(p), unit).matmul(keys.rows.t()) / temperature;  // [N, M of all]
  const auto positives =
      torch::arange(keys.first, keys.first + p.size(0), torch::TensorOptions(torch::kLong).device(p.device()));
  const at::Tensor sum = F::cross_entropy(logits, positives, F::CrossEntropyFuncOptions().reduction(torch::kSum));
  return mean_over_processes(sum, p.size(0));
}

at::Tensor normalise_target(const at::Tensor& images, TargetNorm norm, int patch_size) {
  if (norm == TargetNorm::kNone) return images;
  const auto standardise = [](const at::Tensor& x, at::IntArrayRef dims) {
    return (x - x.mean(dims, true)) / (x.var(dims, /*unbiased=*/true, /*keepdim=*/true) + 1e-6).sqrt();
  };
  if (norm == TargetNorm::kRow) return standardise(images, {3});
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3), p = patch_size;
  CMUNET_CHECK(images.dim() == 4 && images.size(1) == 1 && p > 0 && h % p == 0 && w % p == 0,
               ErrorCode::kInvalidArgument, "[normalise_target] images are ", images.sizes(), " and patch_size is ", p,
               "; expected [N, 1, H, W] with H and W multiples of patch_size");
  const at::Tensor patches = images.reshape({n, h / p, p, w / p, p});  // [N, 1, H, W] -> [N, H/p, p, W/p, p]
  return standardise(patches, {2, 4}).reshape({n, 1, h, w});
}

std::span<const std::pair<std::string_view, TargetNorm>> target_norm_names() {
  static constexpr std::array<std::pair<std::string_view, TargetNorm>, 3> kNames{
      {{"none", TargetNorm::kNone}, {"patch", TargetNorm::kPatch}, {"row", TargetNorm::kRow}}};
  return kNames;
}

}  // namespace cmunet::nn
