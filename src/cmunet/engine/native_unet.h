// SPDX-License-Identifier: Apache-2.0
// A UNet's forward pass on the CPU without LibTorch.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "cmunet/engine/unet_weights.h"
#include "cmunet/kernels/thread_pool.h"
#include "cmunet/kernels/up_convolution.h"
#include "cmunet/kernels/winograd_convolution.h"

namespace cmunet::engine {

/// A 3×3 convolution with bias and ReLU, batch norm folded into both, ready to run.
struct PackedConvolution {
  PackedConvolution() = default;
  /// @param positions  see kernels::channel_positions
  /// @param few_tiles  see kernels::Use
  PackedConvolution(const Convolution& convolution, const std::vector<std::size_t>& positions, bool few_tiles,
                    const kernels::Workers& workers);

  kernels::WinogradConvolution convolution;
  kernels::Floats bias;  ///< padded
};

/// Is told of each layer when it is done: its name ("down_conv1.0", "up_conv4.up", "conv_last") and the products that
/// direct convolution would need for it.
using LayerDone = std::function<void(const std::string& name, std::size_t products)>;

/// Packed weights and the memory of one forward pass. One caller at a time.
class NativeUNet {
 public:
  NativeUNet(const UNetWeights& weights, kernels::ThreadPool& pool);

  /// @param grey         [height, width] z-scored, contiguous; sides are multiples of kTotalStride
  /// @param probability  [height, width] of vessel, in [0, 1]
  /// Memory is kept for the next image of the same size or a smaller one.
  void forward(const float* grey, std::size_t height, std::size_t width, float* probability,
               const LayerDone& done = {});

 private:
  struct PackedUp {
    kernels::UpConvolution convolution;
    kernels::Floats bias;
  };
  using Blocks = std::array<PackedConvolution, 2>;
  struct Layout;

  Layout layout(std::size_t height, std::size_t width) const;
  void first_convolution(const float* grey, const kernels::Map<float>& output);
  void convolve(const PackedConvolution& packed, const kernels::Map<float>& input, const kernels::Map<float>& output,
                const kernels::Map<float>& pooled, float* scratch);
  void last_convolution(const kernels::Map<const float>& input, float* probability);

  kernels::Workers workers_;
  std::size_t base_width_ = 0;
  kernels::Floats first_weights_, first_bias_;  // [9][width], [width]
  std::array<Blocks, kLevels + 1> encoder_;     // [0][0] is unused: the first convolution has its own form
  std::array<Blocks, kLevels> decoder_;
  std::array<PackedUp, kLevels> up_;
  kernels::Floats last_weights_;  // [width], vessel minus background
  float last_bias_ = 0;
  kernels::Floats memory_;
  std::size_t memory_floats_ = 0;
};

}  // namespace cmunet::engine
