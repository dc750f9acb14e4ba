// SPDX-License-Identifier: Apache-2.0
// Batch norm over the images of all processes.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

namespace cmunet::nn {

/// Batch norm with statistics of the whole batch, whatever the number of processes; running statistics move alike.
/// One process: LibTorch's own.
/// @param norm  torch::nn::BatchNorm1dImpl or BatchNorm2dImpl, affine, with running statistics and a momentum
/// @param x     [N, C] or [N, C, H, W]; N may differ between processes
template <typename Norm>
at::Tensor batch_norm(Norm& norm, const at::Tensor& x);

}  // namespace cmunet::nn
