// SPDX-License-Identifier: Apache-2.0
// Masked autoencoding (He et al., CVPR 2022) with the UNet in place of a transformer, as the paper compares with:
// patches are hidden by zeros, the whole UNet rebuilds the image. Unlike the paper's code every sample has a mask of
// its own.
#pragma once

#include "cmunet/ssl/mae_options.h"
#include "cmunet/ssl/method.h"

namespace cmunet::ssl {

/// inputs: masked crop, crop, pixel mask (1 = masked); each [N, 1, s, s].
class Mae : public Method {
 public:
  /// The UNet gets one output channel: 31,042,369 parameters at base 64.
  Mae(nn::UNetOptions unet_options, const MaeOptions& options);

  MethodKind kind() const override { return MethodKind::kMae; }
  torch::nn::Module& module() override { return *unet_; }
  torch::nn::Module& backbone() override { return *unet_; }
  int input_size() const override { return options_.crop.size; }
  std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) override;
  Loss loss(const std::vector<at::Tensor>& inputs) override;
  Pictures pictures(const std::vector<at::Tensor>& inputs) override;

 private:
  MaeOptions options_;
  nn::UNet unet_;
};

}  // namespace cmunet::ssl
