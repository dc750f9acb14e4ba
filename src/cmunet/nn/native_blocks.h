// SPDX-License-Identifier: Apache-2.0
// The UNet's blocks by the module `kernels`, with their gradients: convolutions by minimal filtering, batch norm and
// ReLU applied where a map is read, a concatenation read from its parts.
//
// Feature maps are [N, C, H, W] float32 on the CPU, in channels-last memory; others are copied into it.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <vector>

#include "cmunet/nn/communicator.h"

namespace cmunet::nn {

/// A 3×3 convolution (padding 1) and the batch norm after it.
struct ConvNorm {
  torch::nn::Conv2dImpl& conv;
  torch::nn::BatchNorm2dImpl& norm;
};

/// A block's result and, when asked for, its 2×2 maximum; else `pooled` is undefined.
struct BlockOutput {
  at::Tensor features;
  at::Tensor pooled;
};

/// Whether `native_double_conv` may be called: the kernels are built in, `x` is float32 on the CPU outside autocast,
/// and no gradient is wanted in evaluation mode, whose backward pass is LibTorch's alone.
bool native_applies(const at::Tensor& x, bool training);

/// Whether it is faster than LibTorch for these channels (in of all inputs together).
bool native_pays(std::int64_t in, std::int64_t out);

/// Convolution, batch norm, ReLU; twice. In training mode with the batch's statistics, updating the running ones; the
/// gradient of a convolution's bias is then exactly zero, because batch norm takes any constant away.
/// @param inputs  one map, or two that are read as if concatenated along channels
/// @param pool    also max-pool 2×2; H and W even
/// @param peers   who have the other parts of the batch, in training mode
BlockOutput native_double_conv(const std::vector<at::Tensor>& inputs, ConvNorm first, ConvNorm second, bool pool,
                               Communicator& peers);

/// Transposed 2×2 convolution, stride 2. [N, in, H, W] -> [N, out, 2H, 2W].
at::Tensor native_up_conv(const at::Tensor& x, const torch::nn::ConvTranspose2dImpl& conv);

}  // namespace cmunet::nn
