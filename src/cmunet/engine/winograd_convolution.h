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

/// Transformed weights and how to apply them. Thread-safe after construction; memory is 4× that of the weights.
class WinogradConvolution {
 public:
  WinogradConvolution() = default;
  /// @param positions  see channel_positions; its length is the map's channel count
  WinogradConvolution(const Convolution& convolution, const std::vector<std::size_t>& positions, ThreadPool& pool);

  std::size_t in_channels() const { return in_; }
  std::size_t out_channels() const { return out_; }
  /// Floats of scratch memory that `run` needs for a map of this size.
  std::size_t scratch_floats(std::size_t height, std::size_t width, std::size_t threads) const;

  /// output = ReLU(weights ∗ input + bias), zero beyond the map's edge; its 2×2 maximum too when `pooled` has data.
  /// @param scratch  `scratch_floats` of 64-byte-aligned memory
  void run(const kernels::Map<const float>& input, const kernels::Map<float>& output, const kernels::Map<float>& pooled,
           float* scratch, ThreadPool& pool) const;

 private:
  // How many tiles are transformed together, and whether threads share them or each takes its own.
  struct Plan {
    std::size_t tiles_at_once = 0;
    bool shared = false;
  };
  Plan plan(std::size_t tiles, std::size_t threads) const;
  std::size_t input_stride(std::size_t tiles) const;  // floats from one position to the next
  std::size_t output_stride(std::size_t tiles) const;

  std::size_t in_ = 0, out_ = 0;
  Floats weights_;  // [36][out / kPanel][in][kPanel]
  Floats bias_;
};

}  // namespace cmunet::engine
