// SPDX-License-Identifier: Apache-2.0
// The gradient of a 3×3 convolution's weights by minimal filtering: per tile 36 products where the direct form needs
// 144.
#pragma once

#include <cstddef>
#include <span>

#include "cmunet/kernels/winograd_convolution.h"
#include "cmunet/kernels/workers.h"

namespace cmunet::kernels {

/// How a layer's weight gradient is computed, and the memory that it needs.
class WeightGradient {
 public:
  /// @param in, out  channels, multiples of kPanel
  /// @param tiles    of all images
  WeightGradient(std::size_t in, std::size_t out, std::size_t tiles, std::size_t threads);

  /// Floats of scratch memory that `run` needs.
  std::size_t scratch_floats() const;

  /// result = Σ over images and pixels of gradient · input; the same to the bit for the same thread count.
  /// @param inputs    maps whose channels follow each other
  /// @param gradient  of the convolution's output
  /// @param result    [out, in, 3, 3], overwritten
  /// @param scratch   64-byte-aligned memory
  void run(std::span<const ConvolutionInput> inputs, const Map<const float>& gradient, float* result, float* scratch,
           const Workers& workers) const;

 private:
  using Inputs = std::span<const ConvolutionInput>;
  std::size_t products_floats() const { return slices_ * kPositions * in_ * out_; }
  void run_slices(Inputs inputs, const Map<const float>& gradient, float* scratch, const Workers& workers) const;
  void run_positions(Inputs inputs, const Map<const float>& gradient, float* scratch, const Workers& workers) const;
  void transform(Inputs inputs, const Map<const float>& gradient, Tiles tiles, float* v, float* q) const;
  void finish(const float* products, float* result, const Workers& workers) const;

  std::size_t in_, out_, tiles_, threads_;
  std::size_t slices_ = 1;  // parts of the tiles that are summed apart
  std::size_t block_ = 0;   // tiles transformed at once
  std::size_t in_stride_ = 0, out_stride_ = 0;
};

}  // namespace cmunet::kernels
