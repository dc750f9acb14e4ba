// SPDX-License-Identifier: Apache-2.0
// A UNet's forward pass on the CPU without LibTorch.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "cmunet/engine/thread_pool.h"
#include "cmunet/engine/unet_weights.h"
#include "cmunet/engine/winograd_convolution.h"

namespace cmunet::engine {

/// Packed weights and the memory of one forward pass. One caller at a time.
class NativeUNet {
 public:
  NativeUNet(const UNetWeights& weights, ThreadPool& pool);

  /// @param grey    [height, width] z-scored, contiguous; sides are multiples of kTotalStride
  /// @param logits  [height, width]: vessel logit minus background logit
  /// Memory is kept for the next image of the same size or a smaller one.
  void forward(const float* grey, std::size_t height, std::size_t width, float* logits);

  /// Bytes of packed weights, and of feature maps and scratch memory at the largest size seen.
  std::size_t weight_bytes() const;
  std::size_t working_bytes() const { return memory_floats_ * sizeof(float); }

 private:
  // A transposed 2×2 convolution: four 1×1 convolutions, one for each pixel of a 2×2 block.
  struct UpConvolution {
    std::size_t in = 0, out = 0;
    Floats weights;  // [4][out / kPanel][in][kPanel]
    Floats bias;     // [out]
  };
  using Blocks = std::array<WinogradConvolution, 2>;
  struct Layout;

  static UpConvolution pack_up(const Convolution& convolution);
  Layout layout(std::size_t height, std::size_t width) const;
  void first_convolution(const float* grey, const kernels::Map<float>& output);
  void upsample(const UpConvolution& up, const kernels::Map<const float>& input, const kernels::Map<float>& output);
  void last_convolution(const kernels::Map<const float>& input, float* logits);

  ThreadPool& pool_;
  std::size_t base_width_ = 0;
  Floats first_weights_, first_bias_;        // [9][width], [width]
  std::array<Blocks, kLevels + 1> encoder_;  // [0][0] is unused: the first convolution has its own form
  std::array<Blocks, kLevels> decoder_;
  std::array<UpConvolution, kLevels> up_;
  Floats last_weights_;  // [width], vessel minus background
  float last_bias_ = 0;
  Floats memory_;
  std::size_t memory_floats_ = 0;
};

}  // namespace cmunet::engine
