// SPDX-License-Identifier: Apache-2.0
// The transposed 2×2 convolution with stride 2 that doubles a map's sides: four matrix products, one for each pixel of
// a 2×2 block, forward and backward.
#pragma once

#include <cstddef>

#include "cmunet/kernels/map.h"
#include "cmunet/kernels/workers.h"

namespace cmunet::kernels {

/// Weights [in, out, 2, 2] made ready for one direction. Thread-safe after construction.
class UpConvolution {
 public:
  enum class Direction { kForward, kInputGradient };

  UpConvolution() = default;
  /// @param in, out  channels of the weights; in memory each is padded to a multiple of kPanel
  UpConvolution(const float* weights, std::size_t in, std::size_t out, Direction direction);

  /// @param small  [images, H, W, in]
  /// @param large  [images, 2H, 2W, out]
  /// @param bias   [out], padded
  void run(const Map<const float>& small, const float* bias, const Map<float>& large, const Workers& workers) const;
  void run_input_gradient(const Map<const float>& large, const Map<float>& small, const Workers& workers) const;

 private:
  // Weights of `panel` onwards for one pixel of the 2×2 block.
  const float* panels_of(std::size_t pixel, std::size_t panel) const;
  struct Split;
  Split split(std::size_t rows, std::size_t width, std::size_t threads) const;

  std::size_t from_ = 0, to_ = 0;
  Floats weights_;  // [4][to / kPanel][from][kPanel]
};

/// Gradients of weights and bias, the same to the bit however many threads.
/// @param small    the layer's input, padded channels equal to `in`
/// @param large    the gradient of its output
/// @param weights  [in, out, 2, 2], overwritten
/// @param bias     [out], overwritten
void up_convolution_weight_gradient(const Map<const float>& small, const Map<const float>& large, float* weights,
                                    float* bias, const Workers& workers);

}  // namespace cmunet::kernels
