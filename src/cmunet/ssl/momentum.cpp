// SPDX-License-Identifier: Apache-2.0
#include "cmunet/ssl/momentum.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"

namespace cmunet::ssl {

void update_momentum(torch::nn::Module& target, const torch::nn::Module& online, double momentum) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> to = target.parameters();
  const std::vector<at::Tensor> from = online.parameters();
  CMUNET_CHECK(to.size() == from.size(), ErrorCode::kInternal, "[update_momentum] target has ", to.size(),
               " parameters, online ", from.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i].lerp_(from[i], 1 - momentum);
}

void freeze(torch::nn::Module& module) {
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(false);
}

}  // namespace cmunet::ssl
