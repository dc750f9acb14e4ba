// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/mae.h"

#include <torch/torch.h>

#include "cmunet/augment/masking.h"
#include "cmunet/base/error.h"

namespace cmunet::ssl {

void MaeOptions::check() const {
  check_ranges(*this);
  crop.check("pretrain.mae.crop", nn::kTotalStride);
  require_option(crop.size % patch_size == 0, "pretrain.mae.patch_size", patch_size, "a divisor of crop.size ",
                 crop.size);
  CMUNET_CHECK(augment::masked_patch_count(crop.size, crop.size, patch_size, mask_ratio) > 0,
               ErrorCode::kInvalidArgument, "[config] pretrain.mae.mask_ratio is ", mask_ratio,
               "; must hide at least one patch");
}

void describe(MaeOptions& o, Fields& f) {
  augment::describe(o.crop, "pretrain.mae.crop", f);
  f.add("pretrain.mae.mask_ratio", o.mask_ratio, "share of hidden patches", kShareBelowOne);
  f.add("pretrain.mae.patch_size", o.patch_size, "side of a hidden patch in pixels", kPositive);
  f.add("pretrain.mae.masked_only", o.masked_only, "loss over hidden pixels instead of all");
  f.add("pretrain.mae.target_norm", o.target_norm, nn::target_norm_names(), "what is rebuilt");
}

Mae::Mae(nn::UNetOptions unet_options, const MaeOptions& options)
    : options_((options.check(), options)), unet_((unet_options.classes = 1, unet_options)) {}

std::vector<at::Tensor> Mae::make_inputs(const at::Tensor& images, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  const at::Tensor crops = augment::random_resized_crops(images, options_.crop, rngs);
  const int size = options_.crop.size;
  const at::Tensor masked =
      augment::random_patch_mask(size, size, options_.patch_size, options_.mask_ratio, rngs, images.device());
  return {augment::apply_mask(crops, masked), crops, masked};
}

Loss Mae::loss(const std::vector<at::Tensor>& inputs) {
  const at::Tensor target = nn::normalise_target(inputs[1], options_.target_norm, options_.patch_size);
  const at::Tensor reconstruction = unet_->forward(inputs[0]).to(target.scalar_type());
  const at::Tensor counted = options_.masked_only ? inputs[2] : torch::ones_like(inputs[2]);
  const at::Tensor total = nn::masked_mse(reconstruction, target, counted);
  return {total, {{"loss_reconstruction", total.detach()}}};
}

Pictures Mae::pictures(const std::vector<at::Tensor>& inputs) {
  return {inputs[0], in_evaluation(*unet_, [&] { return unet_->forward(inputs[0]); }),
          nn::normalise_target(inputs[1], options_.target_norm, options_.patch_size)};
}

}  // namespace cmunet::ssl
