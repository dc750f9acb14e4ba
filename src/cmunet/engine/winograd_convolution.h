// SPDX-License-Identifier: Apache-2.0
// A 3×3 convolution with ReLU by Winograd's minimal filtering F(4×4, 3×3): 36 products where the direct form needs 144.
#pragma once

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <vector>

#include "cmunet/engine/kernels.h"
#include "cmunet/engine/thread_pool.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::engine {

/// 64-byte-aligned numbers, not initialised.
using Floats = hwy::AlignedFreeUniquePtr<float[]>;

/// The next multiple of kernels::kPanel: channel counts in memory.
std::size_t padded_channels(std::size_t channels);

/// Where a network's input channels come from: position in memory -> channel of the convolution, or kNoChannel for
/// padding. One part for most layers; two for a concatenation, each padded on its own.
inline constexpr std::size_t kNoChannel = static_cast<std::size_t>(-1);
std::vector<std::size_t> channel_positions(std::size_t parts, std::size_t channels_per_part);

/// Weights and how to apply them. Thread-safe after construction. Transformed filters take 4 times the memory of the
/// filters: where many tiles use them that is done once, elsewhere anew for each image, which saves the time of
/// streaming them from memory.
class WinogradConvolution {
 public:
  WinogradConvolution() = default;
  /// @param positions  see channel_positions; its length is the map's channel count
  /// @param few_tiles  the maps will be small: some hundred tiles at most
  WinogradConvolution(const Convolution& convolution, const std::vector<std::size_t>& positions, bool few_tiles,
                      ThreadPool& pool);

  std::size_t in_channels() const { return in_; }
  std::size_t weight_bytes() const { return (transformed_ ? kernels::kPositions : 9) * in_ * out_ * sizeof(float); }
  /// Floats of scratch memory that `run` needs for a map of this size.
  std::size_t scratch_floats(std::size_t height, std::size_t width, std::size_t threads) const;

  /// output = ReLU(weights ∗ input + bias), zero beyond the map's edge; its 2×2 maximum too when `pooled` has data.
  /// @param scratch  `scratch_floats` of 64-byte-aligned memory
  void run(const kernels::Map<const float>& input, const kernels::Map<float>& output, const kernels::Map<float>& pooled,
           float* scratch, ThreadPool& pool) const;

 private:
  using Input = kernels::Map<const float>;
  using Output = kernels::Map<float>;

  std::size_t tiles_at_once(std::size_t tiles, std::size_t threads) const;
  std::size_t input_stride(std::size_t tiles) const;  // floats from one position to the next
  std::size_t output_stride(std::size_t tiles) const;
  void run_transformed(const Input& input, const Output& output, const Output& pooled, float* scratch,
                       ThreadPool& pool) const;
  void run_transforming(const Input& input, const Output& output, const Output& pooled, float* scratch,
                        ThreadPool& pool) const;
  void multiply_panels(std::size_t first_panel, const float* v, float* m, std::size_t tiles, std::size_t block,
                       float* filters) const;

  std::size_t in_ = 0, out_ = 0;
  bool transformed_ = false;
  Floats weights_;  // [36][out / kPanel][in][kPanel] when transformed, else [out / kPanel][in][9][kPanel]
  Floats bias_;
};

}  // namespace cmunet::engine
