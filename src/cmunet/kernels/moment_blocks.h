// SPDX-License-Identifier: Apache-2.0
// Sums over a feature map, gathered block by block and joined in the blocks' order: the same to the bit whichever
// thread did which block.
#pragma once

#include <cstddef>
#include <vector>

#include "cmunet/kernels/map.h"

namespace cmunet::kernels {

/// Per-channel sums of each block of a map.
class MomentBlocks {
 public:
  MomentBlocks(std::size_t blocks, std::size_t channels);

  /// Where block `index`, of `pixels` pixels, writes its sums.
  Moments block(std::size_t index, std::size_t pixels);

  /// Mean and variance (over n, not n − 1) per channel. For blocks about a centre of their own.
  struct Statistics {
    std::vector<double> mean, variance;
    std::size_t pixels = 0;
  };
  Statistics statistics() const;

  /// Σ sum and Σ product per channel. For blocks about one common centre.
  struct Totals {
    std::vector<double> sum, product;
  };
  Totals totals() const;

 private:
  std::size_t channels_;
  std::vector<std::size_t> pixels_;
  Floats memory_;  // [blocks][3][channels]
};

}  // namespace cmunet::kernels
