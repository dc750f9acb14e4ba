// SPDX-License-Identifier: Apache-2.0
// Batch norm over the images of all processes.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

#include "cmunet/nn/communicator.h"

namespace cmunet::nn {

/// Of a map's channels, all of one floating-point type.
struct BatchStatistics {
  at::Tensor mean, variance;  ///< [C]; the variance divides by count
  at::Tensor count;           ///< [1], values per channel
};

/// Statistics of the whole batch from those of each process's part of it (Chan, Golub & LeVeque 1983): no difference of
/// large squares. A process on its own gets its own.
BatchStatistics over_processes(const BatchStatistics& own, Communicator& peers);

/// Batch norm with statistics of the whole batch, whatever the number of processes; running statistics move alike.
/// One process: LibTorch's own.
/// @param norm  torch::nn::BatchNorm1dImpl or BatchNorm2dImpl, affine, with running statistics and a momentum
/// @param x     [N, C] or [N, C, H, W]; N may differ between processes
template <typename Norm>
at::Tensor batch_norm(Norm& norm, const at::Tensor& x);

}  // namespace cmunet::nn
