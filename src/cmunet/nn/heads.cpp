// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/heads.h"

#include <torch/torch.h>

#include "cmunet/nn/batch_norm.h"

namespace cmunet::nn {

ProjectionHeadImpl::ProjectionHeadImpl(std::int64_t in, std::int64_t hidden, std::int64_t out)
    : fc1_(register_module("fc1", torch::nn::Linear(in, hidden))),
      norm_(register_module("norm", torch::nn::BatchNorm1d(torch::nn::BatchNorm1dOptions(hidden).eps(1e-6)))),
      fc2_(register_module("fc2", torch::nn::Linear(torch::nn::LinearOptions(hidden, out).bias(false)))) {}

torch::Tensor ProjectionHeadImpl::forward(const torch::Tensor& x) {
  return fc2_->forward(torch::relu(batch_norm(*norm_, fc1_->forward(x))));
}

}  // namespace cmunet::nn
