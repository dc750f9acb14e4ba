// SPDX-License-Identifier: Apache-2.0
// The two-layer heads of contrastive pre-training.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace cmunet::nn {

/// Linear(in -> hidden, bias), batch norm (eps 1e-6), ReLU, Linear(hidden -> out, no bias). Projector g and
/// predictor q of CM-UNet: 77,468,160 (in 50,176) and 791,040 (in 256) parameters with hidden 1,536 and out 256.
class ProjectionHeadImpl : public torch::nn::Module {
 public:
  ProjectionHeadImpl(std::int64_t in, std::int64_t hidden, std::int64_t out);
  /// [N, in] -> [N, out]. In training mode N must be at least 2: batch norm needs a variance.
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Linear fc1_;
  torch::nn::BatchNorm1d norm_;
  torch::nn::Linear fc2_;
};
TORCH_MODULE(ProjectionHead);

}  // namespace cmunet::nn
