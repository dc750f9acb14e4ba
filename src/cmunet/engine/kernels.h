// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the native engine: one-thread pieces on plain memory, compiled for several instruction sets and
// chosen when the program runs (Google Highway).
//
// Feature maps are channels-last: pixel (y, x), channel c at data[(y · width + x) · pixel_stride + c]. Channel counts
// are multiples of kPanel (16); pointers are aligned to 64 bytes and strides are multiples of 16 floats.
#pragma once

#include <cstddef>
#include <string>

namespace cmunet::engine::kernels {

/// Output channels whose weights lie side by side.
inline constexpr std::size_t kPanel = 16;
/// Winograd's F(4×4, 3×3): a 6×6 window of the input gives a 4×4 tile of the output through 36 products.
inline constexpr std::size_t kTile = 4;
inline constexpr std::size_t kWindow = kTile + 2;
inline constexpr std::size_t kPositions = kWindow * kWindow;

/// A feature map, or some channels of one.
template <typename T>
struct Map {
  T* data = nullptr;
  std::size_t height = 0, width = 0, channels = 0;
  std::size_t pixel_stride = 0;  ///< floats from one pixel to the next, at least `channels`
};

/// Tiles `first … first + count − 1` in row-major order of the ⌈height/4⌉ × ⌈width/4⌉ tiles of a map.
struct Tiles {
  std::size_t first = 0, count = 0;
};

/// Rows of a transformed block: element (position, tile, channel) at
/// data[position · position_stride + tile · channels + channel], tile counted from the block's first.
template <typename T>
struct Transformed {
  T* data = nullptr;
  std::size_t position_stride = 0;
};

/// Bᵀ·d·B of every window of `tiles`; outside the map is zero. (Lavin & Gray 2016, section 4.1.)
void winograd_input(const Map<const float>& input, Tiles tiles, Transformed<float> out);

/// Aᵀ·m·A of every tile, plus bias, then ReLU. What reaches over the map's edge is dropped.
/// @param bias    [channels]
/// @param pooled  when data is not null: also max-pooling 2×2 of the output; height and width must then be even
void winograd_output(Transformed<const float> in, Tiles tiles, const float* bias, const Map<float>& output,
                     const Map<float>& pooled);

/// G·g·Gᵀ of `count` filters in each of kPanel lanes.
/// @param filters  [count][9][kPanel], taps row-major
/// @param out      element (position, filter, lane) at out[position · position_stride + filter · kPanel + lane]
void winograd_filters(const float* filters, std::size_t count, std::size_t position_stride, float* out);

/// What a sum of products begins with.
struct Start {
  const float* bias = nullptr;  ///< [panels · kPanel], or null for zero
  bool add = false;             ///< to what the result's memory holds; then without bias
};

/// c[r][j] = start[j] + Σ_k a[r][k] · weights[k][j].
/// @param a        [rows][depth], rows `a_stride` apart
/// @param weights  [panels][depth][kPanel]
/// @param c        [rows][panels · kPanel], rows `c_stride` apart
void multiply(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t panels,
              std::size_t depth, Start start, float* c, std::size_t c_stride);

/// 3×3 convolution of a grey image, zero beyond its edge, plus bias, then ReLU: rows [row_begin, row_end).
/// @param grey     [height, width] of `output`, contiguous
/// @param weights  [9][channels], taps row-major
void first_convolution(const float* grey, const float* weights, const float* bias, std::size_t row_begin,
                       std::size_t row_end, const Map<float>& output);

/// Vessel logit minus background logit of `count` pixels: bias + Σ_c x[c] · weights[c].
/// @param weights  [channels]
void logit_difference(const float* x, std::size_t pixel_stride, std::size_t channels, std::size_t count,
                      const float* weights, float bias, float* out);

/// 1 / (1 + e^−x) in place: the vessel's share of a softmax over two classes.
void logistic(float* values, std::size_t count);

/// The instruction set in use, e.g. "AVX3" (AVX-512), "AVX2", "NEON".
std::string instruction_set();

}  // namespace cmunet::engine::kernels
