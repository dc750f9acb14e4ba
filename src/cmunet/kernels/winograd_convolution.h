// SPDX-License-Identifier: Apache-2.0
// A 3×3 convolution by Winograd's minimal filtering: F(4×4, 3×3) takes 36 products where the direct form needs 144,
// F(6×6, 3×3) 64 instead of 324.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "cmunet/kernels/map.h"
#include "cmunet/kernels/moment_blocks.h"
#include "cmunet/kernels/winograd.h"
#include "cmunet/kernels/workers.h"

namespace cmunet::kernels {

/// Where a network's input channels come from: position in memory -> channel of the convolution, or kNoChannel for
/// padding. One part for most layers; two for a concatenation, each padded on its own.
inline constexpr std::size_t kNoChannel = static_cast<std::size_t>(-1);
std::vector<std::size_t> channel_positions(std::size_t parts, std::size_t channels_per_part);

/// A layer's filters, [out, in, 3, 3] in memory.
struct Filters {
  const float* weights = nullptr;
  std::size_t out = 0, in = 0;
  /// The convolution that carries gradients back: from `out` channels to `in`, every filter turned by 180°.
  bool backward = false;
};

/// Maps whose channels follow each other, as a concatenation's do without being copied together.
struct ConvolutionInput {
  Map<const float> map;
  Rectifier rectifier;  ///< applied while reading
};

/// What is known of a convolution before its first map comes.
struct Use {
  bool few_tiles = false;    ///< the maps will be small: some hundred tiles at most
  bool large_tiles = false;  ///< F(6×6) where it is faster, up to 8,192 filters. Rounds twice as much
};

/// Filters and how to apply them. Thread-safe after construction. Transformed filters take 4 to 7 times the memory of
/// the filters: where many tiles use them that is done once, elsewhere anew for each run, which saves the time of
/// streaming them from memory.
class WinogradConvolution {
 public:
  WinogradConvolution() = default;
  /// @param positions  see channel_positions; its length is the input's channel count
  WinogradConvolution(const Filters& filters, const std::vector<std::size_t>& positions, Use use,
                      const Workers& workers);

  std::size_t in_channels() const { return in_; }
  /// Floats of scratch memory that `run` needs for maps of this size.
  std::size_t scratch_floats(const Map<const float>& map, std::size_t threads) const;

  /// output = filters ∗ input, zero beyond the map's edge, then the epilogue (its moments are set here).
  /// @param outputs  maps whose channels follow each other; the epilogue needs a single one
  /// @param moments  of the epilogue, allocated here, when not null
  /// @param scratch  `scratch_floats` of 64-byte-aligned memory
  void run(std::span<const ConvolutionInput> inputs, std::span<const Map<float>> outputs, const Epilogue& epilogue,
           std::optional<MomentBlocks>* moments, float* scratch, const Workers& workers) const;

 private:
  struct Job;
  std::size_t products() const { return positions_of(side_); }  // of a tile
  std::size_t tiles_at_once(std::size_t tiles, std::size_t threads) const;
  std::size_t input_stride(std::size_t tiles) const;  // floats from one position to the next
  std::size_t output_stride(std::size_t tiles) const;
  void read_inputs(const Job& job, Tiles tiles, Transformed<float> v) const;
  void write_outputs(const Job& job, Tiles tiles, std::size_t block, Transformed<const float> m) const;
  void run_transformed(const Job& job, float* scratch, const Workers& workers) const;
  void run_transforming(const Job& job, float* scratch, const Workers& workers) const;
  void multiply_panels(std::size_t first_panel, const float* v, float* m, std::size_t tiles, std::size_t block,
                       float* filters) const;

  std::size_t in_ = 0, out_ = 0, side_ = kTile;
  bool transformed_ = false;
  Floats weights_;  // [products()][out / kPanel][in][kPanel] when transformed, else [out / kPanel][in][9][kPanel]
};

}  // namespace cmunet::kernels
