// SPDX-License-Identifier: Apache-2.0
// What a network costs: parameters per module and multiply-accumulates per image.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/nn/unet.h"

namespace cmunet::nn {

/// Parameters of one part of a model. Buffers (batch-norm statistics) are not parameters.
struct ParameterCount {
  std::string module;
  std::int64_t trainable = 0;
  std::int64_t frozen = 0;  ///< momentum copies, a fixed adapter
  std::int64_t total() const { return trainable + frozen; }
};

/// Counts by `requires_grad`.
ParameterCount count_parameters(const std::string& name, const torch::nn::Module& module);

/// One row per direct child of `module`, in registration order.
std::vector<ParameterCount> count_children(const torch::nn::Module& module);

/// Sum of the rows.
ParameterCount sum_of(const std::vector<ParameterCount>& rows);

/// Multiply-accumulates of convolutions for one image: facts at base 64 and 256²: encoder 16.949e9, decoder 31.147e9.
double encoder_macs(const UNetOptions& options, std::int64_t height, std::int64_t width);
double decoder_macs(const UNetOptions& options, std::int64_t height, std::int64_t width);

/// Bytes of activations that one image's forward pass of the whole UNet keeps for its backward pass, in 32 bits:
/// two tensors per convolution (its output, which batch norm keeps, and the ReLU's, which the next convolution keeps),
/// the pooled maps with their indices, and the concatenations.
double activation_bytes(const UNetOptions& options, std::int64_t height, std::int64_t width);

}  // namespace cmunet::nn
