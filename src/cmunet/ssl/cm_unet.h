// SPDX-License-Identifier: Apache-2.0
// CM-UNet (Challier et al., arXiv 2507.17779): a UNet learns from unlabelled angiograms by rebuilding masked patches
// (online encoder + pixel decoder) and by agreeing with a momentum encoder on another view of the same image
// (feature decoder, projector, predictor against adapter and momentum projector).
//
//   masked view A ─▶ encoder ─┬▶ pixel decoder ─▶ channel 1 = reconstruction      (masked MSE, Eq. 1)
//                             └▶ feature decoder ─▶ mean of channels ─▶ projector ─▶ predictor = p ─┐
//   view B ─▶ momentum encoder ─▶ adapter 1×1 ─▶ momentum projector = k  (no gradient) ─────────────┴ InfoNCE, Eq. 2
#pragma once

#include <torch/nn/modules/conv.h>

#include "cmunet/nn/heads.h"
#include "cmunet/ssl/method.h"

namespace cmunet::ssl {

/// All modules of the pre-training graph. At base 64 and 224²: 121,494,084 trainable, 218,074,628 in all.
class CmUnetModuleImpl : public torch::nn::Module {
 public:
  CmUnetModuleImpl(const nn::UNetOptions& unet_options, const CmUnetOptions& options);

  nn::UNet unet;  ///< online encoder and pixel decoder
  nn::UNetDecoder feature_decoder;
  nn::ProjectionHead projector, predictor;
  torch::nn::Conv2d adapter;         ///< 1×1, 16·base -> 256; drawn once, frozen unless train_adapter
  nn::UNetEncoder momentum_encoder;  ///< no gradient; follows the online encoder
  nn::ProjectionHead momentum_projector;
};
TORCH_MODULE(CmUnetModule);

/// inputs: masked view A, view A, pixel mask (1 = masked), view B; each [N, 1, v, v].
class CmUnet : public Method {
 public:
  /// @throws Error kInvalidArgument when the view is no multiple of 16 or of the patch size.
  CmUnet(const nn::UNetOptions& unet_options, const CmUnetOptions& options);

  MethodKind kind() const override { return MethodKind::kCmUnet; }
  torch::nn::Module& module() override { return *module_; }
  torch::nn::Module& backbone() override { return *module_->unet; }
  int input_size() const override { return options_.views.view_size; }
  std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) override;
  Loss loss(const std::vector<at::Tensor>& inputs) override;
  void after_step() override;
  Pictures pictures(const std::vector<at::Tensor>& inputs) override;

 private:
  at::Tensor hidden_pixels(const at::Tensor& view, std::span<Rng> rngs) const;
  at::Tensor keys(const at::Tensor& view);

  CmUnetOptions options_;
  CmUnetModule module_;
};

}  // namespace cmunet::ssl
