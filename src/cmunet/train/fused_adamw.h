// SPDX-License-Identifier: Apache-2.0
// AdamW's step by the module `kernels`: one pass over memory, where LibTorch's operations make eight.
#pragma once

#include <ATen/core/Tensor.h>

namespace cmunet::train {

/// β₁ and β₂ of the options, the step counted from 1.
struct AdamwStep {
  double lr = 0, decay = 0, beta1 = 0, beta2 = 0, epsilon = 0;
  std::int64_t count = 1;
};

/// Does the step and returns true where it can: all four are contiguous float32 on the CPU, and the kernels are built
/// in. Else it does nothing.
bool fused_adamw(const AdamwStep& step, const at::Tensor& weight, const at::Tensor& gradient, const at::Tensor& m,
                 const at::Tensor& v);

}  // namespace cmunet::train
