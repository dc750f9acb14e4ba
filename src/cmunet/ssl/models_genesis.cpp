// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/models_genesis.h"

#include <torch/torch.h>

#include "cmunet/augment/batch.h"
#include "cmunet/nn/losses.h"

namespace cmunet::ssl {

void ModelsGenesisOptions::check() const {
  crop.check("pretrain.models_genesis.crop", nn::kTotalStride);
  distortions.check();
}

void describe(ModelsGenesisOptions& o, Fields& f) {
  augment::describe(o.crop, "pretrain.models_genesis.crop", f);
  augment::describe(o.distortions, f);
}

ModelsGenesis::ModelsGenesis(nn::UNetOptions unet_options, const ModelsGenesisOptions& options)
    : options_((options.check(), options)), unet_((unet_options.classes = 1, unet_options)) {}

std::vector<at::Tensor> ModelsGenesis::make_inputs(const at::Tensor& images, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  const at::Tensor target = augment::random_resized_crops(images, options_.crop, rngs);
  const at::Tensor distorted = target.to(at::kCPU, at::kFloat).contiguous().clone();
  const int size = options_.crop.size;
  float* values = distorted.data_ptr<float>();
  for (Rng& rng : rngs) {
    augment::distort({values, size, size}, options_.distortions, rng);
    values += std::ptrdiff_t{size} * size;
  }
  return {augment::send(distorted, target.device()), target};
}

Loss ModelsGenesis::loss(const std::vector<at::Tensor>& inputs) {
  const at::Tensor total = nn::mse(unet_->forward(inputs[0]).to(inputs[1].scalar_type()), inputs[1]);
  return {total, {{"loss_reconstruction", total.detach()}}};
}

Pictures ModelsGenesis::pictures(const std::vector<at::Tensor>& inputs) {
  return {inputs[0], in_evaluation(*unet_, [&] { return unet_->forward(inputs[0]); }), inputs[1]};
}

}  // namespace cmunet::ssl
