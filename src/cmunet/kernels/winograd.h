// SPDX-License-Identifier: Apache-2.0
// The transforms of Winograd's minimal filtering F(4×4, 3×3) and their adjoints (Lavin & Gray 2016, section 4.1), and
// those of F(6×6, 3×3): one-thread pieces, compiled for several instruction sets and chosen when the program runs.
//
//   output of a tile   Y  = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A          d: 6×6 window of the input, g: filter, Y: 4×4
//   filter's gradient  ∇g = Gᵀ [Σ (A ∇Y Aᵀ) ⊙ (Bᵀ d B)] G       Σ over all tiles
//
// The input's gradient is another convolution, of ∇Y with the filters turned by 180°.
#pragma once

#include <cstddef>

#include "cmunet/kernels/map.h"

namespace cmunet::kernels {

/// Bᵀ·d·B of every window of `tiles`; outside the map is zero. `rectifier` is applied to what is read.
void winograd_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out);

/// G·g·Gᵀ of `count` filters in each of kPanel lanes.
/// @param filters  [count][9][kPanel], taps row-major
/// @param side     of the tiles that will be filtered
/// @param out      element (position, filter, lane) at out[position · position_stride + filter · kPanel + lane]
void winograd_filters(const float* filters, std::size_t count, std::size_t side, std::size_t position_stride,
                      float* out);

/// The same at the upper (half 0) or lower 3×6 positions of F(4×4, 3×3) alone, counted from the first of them.
void winograd_half_filters(const float* filters, std::size_t count, std::size_t half, std::size_t position_stride,
                           float* out);

/// A·d·Aᵀ of every 4×4 tile of a gradient; beyond the map's edge it is zero.
void winograd_output_adjoint(const Map<const float>& gradient, Tiles tiles, Transformed<float> out);

/// Gᵀ·m·G of `count` products of 4×4 tiles in each of kPanel lanes.
/// @param in   element (position, filter, lane) at in[position · position_stride + filter · filter_stride + lane]
/// @param out  [count][9][kPanel]
void winograd_filters_adjoint(const float* in, std::size_t position_stride, std::size_t filter_stride,
                              std::size_t count, float* out);

/// What becomes of a tile when it leaves the transformed domain. At most one of the three groups is used.
struct Epilogue {
  /// Inference: + bias [channels], then ReLU; then also the 2×2 maximum when `pooled` has data (height and width even).
  const float* bias = nullptr;
  Map<float> pooled;
  /// Training: moments of the output about its first value.
  Moments moments;
  /// Backward: zero where the forward pass's ReLU was, Σ g and Σ g·(x − centre) of what is left. `moments` as well.
  Map<const float> rectified;
  Rectifier rectifier;
  const float* centre = nullptr;
};

/// Aᵀ·m·A of every tile, then the epilogue. What reaches over the map's edge is dropped.
void winograd_output(Transformed<const float> in, Tiles tiles, const Epilogue& epilogue, const Map<float>& output);

}  // namespace cmunet::kernels
