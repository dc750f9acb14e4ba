// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/fused_adamw.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "cmunet/kernels/adamw.h"
#include "cmunet/nn/native_memory.h"

namespace cmunet::train {
namespace {

// Of each tensor at a time; enough for a thread to be worth waking.
constexpr std::size_t kPartFloats = 32 << 10;

}  // namespace

bool fused_adamw(const AdamwStep& step, const at::Tensor& weight, const at::Tensor& gradient, const at::Tensor& m,
                 const at::Tensor& v) {
  for (const at::Tensor& x : {weight, gradient, m, v}) {
    if (!x.is_cpu() || x.scalar_type() != at::kFloat || !x.is_contiguous()) return false;
  }
  const auto count = static_cast<double>(step.count);
  const kernels::AdamwFactors factors{
      .keep = static_cast<float>(1 - step.lr * step.decay),
      .gradient_share = static_cast<float>(1 - step.beta1),
      .beta2 = static_cast<float>(step.beta2),
      .square_share = static_cast<float>(1 - step.beta2),
      .root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, count))),
      .epsilon = static_cast<float>(step.epsilon),
      .step_size = static_cast<float>(step.lr / (1 - std::pow(step.beta1, count))),
  };
  const auto numbers = static_cast<std::size_t>(weight.numel());
  const auto part = [&](std::size_t index, std::size_t /*thread*/) {
    const std::size_t first = index * kPartFloats;
    kernels::adamw_step(factors,
                        {weight.data_ptr<float>() + first, gradient.data_ptr<float>() + first,
                         m.data_ptr<float>() + first, v.data_ptr<float>() + first},
                        std::min(kPartFloats, numbers - first));
  };
  nn::torch_workers().run((numbers + kPartFloats - 1) / kPartFloats, part);
  return true;
}

}  // namespace cmunet::train
