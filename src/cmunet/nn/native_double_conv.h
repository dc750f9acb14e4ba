// SPDX-License-Identifier: Apache-2.0
// The two convolutions of a block in training mode, as one function with a gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cmunet/nn/communicator.h"

namespace cmunet::nn {

/// Weights of a 3×3 convolution and of the batch norm after it; channels are multiples of kernels::kPanel, but `in` of
/// the first may be 1.
struct ConvNormWeights {
  at::Tensor weight, bias;  ///< [out, in, 3, 3], [out]
  at::Tensor gamma, beta;   ///< [out]
  double epsilon = 1e-5;
};

/// What a block yields in training mode. Mean and variance (over n) are the whole batch's, without a gradient.
struct TrainedBlock {
  at::Tensor features, pooled;  ///< `pooled` is undefined unless asked for
  at::Tensor mean[2], variance[2];
  double pixels = 0;  ///< n
};

/// Kept for the backward pass: the inputs and what each convolution yields. What lies between batch norm, ReLU and the
/// next convolution is computed anew where it is read.
/// @param inputs  one or two, channels-last
/// @param peers   who have the other parts of the batch; lives until the backward pass
TrainedBlock train_double_conv(const std::vector<at::Tensor>& inputs, const ConvNormWeights& first,
                               const ConvNormWeights& second, bool pool, Communicator& peers);

}  // namespace cmunet::nn
