// SPDX-License-Identifier: Apache-2.0
// SparK (Tian et al., ICLR 2023): the encoder sees visible positions only, at every scale (sparse convolutions and
// batch norms), hidden ones are filled with one learnt token per scale, and the UNet's decoder rebuilds the hidden
// cells.
#pragma once

#include "cmunet/ssl/method.h"
#include "cmunet/ssl/spark_options.h"

namespace cmunet::ssl {

/// The UNet with one output channel, and five mask tokens: 31,042,369 + 1,984 = 31,044,353 parameters at base 64. The
/// paper's 34.18 M count another 3,138,000 of five projections that its code builds and never uses.
class SparkModuleImpl : public torch::nn::Module {
 public:
  explicit SparkModuleImpl(const nn::UNetOptions& unet_options);

  nn::UNet unet;
  std::array<at::Tensor, 5> tokens;  ///< finest scale first; [channels of that scale]
};
TORCH_MODULE(SparkModule);

/// inputs: crop, pixel mask (1 = hidden); each [N, 1, s, s].
class Spark : public Method {
 public:
  Spark(nn::UNetOptions unet_options, const SparkOptions& options);

  MethodKind kind() const override { return MethodKind::kSpark; }
  torch::nn::Module& module() override { return *module_; }
  torch::nn::Module& backbone() override { return *module_->unet; }
  int input_size() const override { return options_.crop.size; }
  std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) override;
  /// Mean squared error over hidden cells against cells of mean 0 and variance 1.
  Loss loss(const std::vector<at::Tensor>& inputs) override;
  Pictures pictures(const std::vector<at::Tensor>& inputs) override;

 private:
  at::Tensor reconstruct(const std::vector<at::Tensor>& inputs);

  SparkOptions options_;
  SparkModule module_;
};

/// The encoder on visible positions only: after every convolution and pooling hidden positions are 0, and batch norms
/// take their statistics from visible ones. What hidden pixels hold has no influence.
/// @param images  [N, 1, H, W]; @param active [N, 1, H, W], 1 = visible, constant within cells of 16 × 16 px
nn::Features sparse_features(nn::UNetEncoder& encoder, const at::Tensor& images, const at::Tensor& active);

}  // namespace cmunet::ssl
