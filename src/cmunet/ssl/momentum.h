// SPDX-License-Identifier: Apache-2.0
// Target networks that follow an online one.
#pragma once

#include <torch/nn/module.h>

namespace cmunet::ssl {

/// θ_target ← m·θ_target + (1 − m)·θ_online for every parameter, matched by position. Buffers are left alone.
void update_momentum(torch::nn::Module& target, const torch::nn::Module& online, double momentum);

/// No parameter of `module` asks for a gradient any more.
void freeze(torch::nn::Module& module);

}  // namespace cmunet::ssl
