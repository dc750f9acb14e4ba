// SPDX-License-Identifier: Apache-2.0
// Stands in for fused_adamw.cpp in builds without the module `kernels`: LibTorch does every step.
#include "cmunet/train/fused_adamw.h"

namespace cmunet::train {

bool fused_adamw(const AdamwStep&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  return false;
}

}  // namespace cmunet::train
