// SPDX-License-Identifier: Apache-2.0
// Models Genesis (Zhou et al., Medical Image Analysis 2021): the UNet restores images whose pixels were shuffled
// locally, whose grey values went through a random curve, and parts of which were painted over. Implemented
// independently from the published description in two dimensions; the authors' code, under a non-commercial licence,
// was not used.
#pragma once

#include "cmunet/ssl/method.h"
#include "cmunet/ssl/models_genesis_options.h"

namespace cmunet::ssl {

/// inputs: distorted image, image; each [N, 1, s, s]. The loss is the mean squared error over all pixels.
class ModelsGenesis : public Method {
 public:
  /// The UNet gets one output channel: 31,042,369 parameters at base 64.
  ModelsGenesis(nn::UNetOptions unet_options, const ModelsGenesisOptions& options);

  MethodKind kind() const override { return MethodKind::kModelsGenesis; }
  torch::nn::Module& module() override { return *unet_; }
  torch::nn::Module& backbone() override { return *unet_; }
  int input_size() const override { return options_.crop.size; }
  /// Distorts on the host: its windows and boxes are sequential by nature.
  std::vector<at::Tensor> make_inputs(const at::Tensor& images, std::span<Rng> rngs) override;
  Loss loss(const std::vector<at::Tensor>& inputs) override;
  Pictures pictures(const std::vector<at::Tensor>& inputs) override;

 private:
  ModelsGenesisOptions options_;
  nn::UNet unet_;
};

}  // namespace cmunet::ssl
