// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/spark.h"

#include <torch/torch.h>

#include <cmath>

#include "cmunet/augment/masking.h"
#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::ssl {
namespace {

constexpr int kCell = static_cast<int>(nn::kTotalStride);
constexpr double kTokenSd = 0.02;

// A share that hides as many whole cells as are left when round((1 − ratio) · cells) stay visible.
double whole_cell_ratio(int size, double ratio) {
  const int cells = size / kCell * (size / kCell);
  const auto visible = std::lround((1 - ratio) * cells);
  return (static_cast<double>(cells - visible) + 1e-6) / cells;
}

// Batch norm whose statistics are those of visible positions. Hidden ones get a value too, which the caller removes.
at::Tensor sparse_batch_norm(torch::nn::BatchNorm2dImpl& norm, const at::Tensor& x, const at::Tensor& active,
                             bool is_synchronised) {
  if (!norm.is_training()) return norm.forward(x);
  const at::Tensor values = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const auto total = [&](const at::Tensor& part) { return is_synchronised ? nn::sum_over_processes(part) : part; };
  const at::Tensor count = total(active.sum());
  const at::Tensor mean = total((values * active).sum({0, 2, 3}, true)) / count;
  const at::Tensor variance = total(((values - mean).square() * active).sum({0, 2, 3}, true)) / count;
  {
    const torch::NoGradGuard no_grad;
    const double momentum = norm.options.momentum().value();
    norm.running_mean.lerp_(mean.flatten(), momentum);
    norm.running_var.lerp_((variance * (count / (count - 1))).flatten(), momentum);
    norm.num_batches_tracked += 1;
  }
  const at::Tensor scale = norm.weight.view({1, -1, 1, 1}) * torch::rsqrt(variance + norm.options.eps());
  return torch::addcmul(norm.bias.view({1, -1, 1, 1}), values - mean, scale).to(x.scalar_type());
}

// The two convolutions of one level, found in the order of registration: conv, norm, ReLU, conv, norm, ReLU.
at::Tensor sparse_block(torch::nn::Module& block, at::Tensor x, const at::Tensor& active) {
  bool is_synchronised = true;
  for (const auto& layer : block.modules()) {
    if (auto* pair = layer->as<nn::DoubleConv>()) {
      is_synchronised = pair->is_synchronised;
    } else if (auto* conv = layer->as<torch::nn::Conv2d>()) {
      x = conv->forward(x) * active;
    } else if (auto* norm = layer->as<torch::nn::BatchNorm2d>()) {
      x = torch::relu(sparse_batch_norm(*norm, x, active, is_synchronised)) * active;
    }
  }
  return x;
}

at::Tensor filled(const at::Tensor& features, const at::Tensor& token, const at::Tensor& active) {
  return features + token.view({1, -1, 1, 1}) * (1 - active);
}

}  // namespace

void SparkOptions::check() const {
  check_ranges(*this);
  crop.check("pretrain.spark.crop", kCell);
  const double ratio = whole_cell_ratio(crop.size, mask_ratio);
  CMUNET_CHECK(ratio > 1e-3 && ratio < 1, ErrorCode::kInvalidArgument, "[config] pretrain.spark.mask_ratio is ",
               mask_ratio, "; must hide and leave at least one cell of 16 px of a crop of ", crop.size);
}

void describe(SparkOptions& o, Fields& f) {
  augment::describe(o.crop, "pretrain.spark.crop", f);
  f.add("pretrain.spark.mask_ratio", o.mask_ratio, "share of hidden cells of 16 px",
        Range{.low = 0, .high = 1, .excludes_low = true, .excludes_high = true});
}

SparkModuleImpl::SparkModuleImpl(const nn::UNetOptions& unet_options)
    : unet(register_module("unet", nn::UNet(unet_options))) {
  for (std::size_t level = 0; level < tokens.size(); ++level) {
    const at::Tensor start = torch::empty({unet_options.base_width << level});
    // Normal, drawn again beyond two standard deviations.
    torch::nn::init::normal_(start, 0, kTokenSd);
    for (at::Tensor far = start.abs() > 2 * kTokenSd; far.any().item<bool>(); far = start.abs() > 2 * kTokenSd) {
      start.masked_scatter_(far, torch::randn({far.sum().item<std::int64_t>()}) * kTokenSd);
    }
    tokens[level] = register_parameter(concat("token", level), start);
  }
}

Spark::Spark(nn::UNetOptions unet_options, const SparkOptions& options)
    : options_((options.check(), options)), module_((unet_options.classes = 1, unet_options)) {}

std::vector<at::Tensor> Spark::make_inputs(const at::Tensor& images, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  const at::Tensor crops = augment::random_resized_crops(images, options_.crop, rngs);
  const int size = options_.crop.size;
  const double ratio = whole_cell_ratio(size, options_.mask_ratio);
  return {crops, augment::random_patch_mask(size, size, kCell, ratio, rngs, images.device())};
}

nn::Features sparse_features(nn::UNetEncoder& encoder, const at::Tensor& images, const at::Tensor& active) {
  nn::Features features;
  at::Tensor x = images * active, visible = active;
  std::size_t level = 0;
  for (const auto& block : encoder->children()) {  // down_conv1 … down_conv4, then the bottleneck
    x = sparse_block(*block, x, visible);
    if (level == features.skips.size()) break;
    features.skips[level++] = x;
    visible = torch::max_pool2d(visible, 2);
    x = torch::max_pool2d(x, 2) * visible;
  }
  features.latent = x;
  return features;
}

at::Tensor Spark::reconstruct(const std::vector<at::Tensor>& inputs) {
  at::Tensor active = 1 - inputs[1];
  nn::UNetEncoder encoder = module_->unet->encoder();
  nn::Features features = sparse_features(encoder, inputs[0], active);
  for (std::size_t level = 0; level < features.skips.size(); ++level) {
    features.skips[level] = filled(features.skips[level], module_->tokens[level], active);
    active = torch::max_pool2d(active, 2);
  }
  features.latent = filled(features.latent, module_->tokens.back(), active);
  return module_->unet->decoder()->forward(features);
}

Loss Spark::loss(const std::vector<at::Tensor>& inputs) {
  const at::Tensor target = nn::normalise_target(inputs[0], nn::TargetNorm::kPatch, kCell);
  const at::Tensor total = nn::masked_mse(reconstruct(inputs).to(target.scalar_type()), target, inputs[1]);
  return {total, {{"loss_reconstruction", total.detach()}}};
}

Pictures Spark::pictures(const std::vector<at::Tensor>& inputs) {
  return {augment::apply_mask(inputs[0], inputs[1]), in_evaluation(*module_, [&] { return reconstruct(inputs); }),
          nn::normalise_target(inputs[0], nn::TargetNorm::kPatch, kCell)};
}

}  // namespace cmunet::ssl
