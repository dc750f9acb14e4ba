// SPDX-License-Identifier: Apache-2.0
// Feature maps in memory, and the tiles and blocks into which the fast convolutions cut them.
//
// Feature maps are channels-last: image n, pixel (y, x), channel c at
// data[((n · height + y) · width + x) · pixel_stride + c]. Channel counts are multiples of kPanel (16); pointers are
// aligned to 64 bytes and strides are multiples of 16 floats.
#pragma once

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <new>

namespace cmunet::kernels {

/// Output channels whose weights lie side by side.
inline constexpr std::size_t kPanel = 16;
/// Winograd's F(4×4, 3×3): a 6×6 window of the input gives a 4×4 tile of the output through 36 products.
inline constexpr std::size_t kTile = 4;
inline constexpr std::size_t kWindow = kTile + 2;
inline constexpr std::size_t kPositions = kWindow * kWindow;
/// F(6×6, 3×3): 64 products for an 8×8 window, a fifth fewer per pixel, and twice the rounding error.
inline constexpr std::size_t kLargeTile = 6;
/// The products that a tile of this side takes.
constexpr std::size_t positions_of(std::size_t side) { return (side + 2) * (side + 2); }

/// 64-byte-aligned numbers.
using Floats = hwy::AlignedFreeUniquePtr<float[]>;
/// Not initialised. @throws std::bad_alloc
inline Floats allocate_floats(std::size_t count) {
  Floats floats = hwy::AllocateAligned<float>(count);
  if (floats == nullptr) throw std::bad_alloc();
  return floats;
}

/// The next multiple of kPanel: channel counts in memory.
constexpr std::size_t padded_channels(std::size_t channels) { return (channels + kPanel - 1) / kPanel * kPanel; }

/// Feature maps of some images, or some channels of them.
template <typename T>
struct Map {
  T* data = nullptr;
  std::size_t height = 0, width = 0, channels = 0;
  std::size_t pixel_stride = 0;  ///< floats from one pixel to the next, at least `channels`
  std::size_t images = 1;

  std::size_t pixels() const { return images * height * width; }
  std::size_t tiles_across(std::size_t side = kTile) const { return (width + side - 1) / side; }
  std::size_t tiles_of_image(std::size_t side = kTile) const { return (height + side - 1) / side * tiles_across(side); }
  std::size_t tiles(std::size_t side = kTile) const { return images * tiles_of_image(side); }
};

template <typename T>
Map<const T> readable(const Map<T>& map) {
  return {map.data, map.height, map.width, map.channels, map.pixel_stride, map.images};
}

/// Tiles `first … first + count − 1`, image by image, in each in row-major order of its ⌈height/side⌉ × ⌈width/side⌉.
struct Tiles {
  std::size_t first = 0, count = 0;
  std::size_t side = kTile;
};

/// A tile's upper left pixel.
struct TilePlace {
  std::size_t image = 0, y = 0, x = 0;
};
template <typename T>
TilePlace place_of(const Map<T>& map, std::size_t tile, std::size_t side = kTile) {
  const std::size_t of_image = map.tiles_of_image(side), across = map.tiles_across(side);
  const std::size_t in_image = tile % of_image;
  return {tile / of_image, in_image / across * side, in_image % across * side};
}

/// Rows of a transformed block: element (position, tile, channel) at
/// data[position · position_stride + tile · tile_stride + channel], tile counted from the block's first.
template <typename T>
struct Transformed {
  T* data = nullptr;
  std::size_t position_stride = 0;
  std::size_t tile_stride = 0;
};

/// position_stride of blocks whose positions take so many floats, a multiple of kPanel: an odd number of cache lines,
/// as positions a power of two apart would all fall into the same cache set.
constexpr std::size_t odd_stride(std::size_t floats) { return (floats / kPanel | 1) * kPanel; }
/// What a block of transformed tiles that all threads share may take, and how many tiles one task of it transforms.
/// Measured on AVX-512 cores with 32 MB of third-level cache.
inline constexpr std::size_t kSharedBytes = 24 << 20;
inline constexpr std::size_t kTilesPerTask = 4;

/// A batch norm with its ReLU, max(0, scale·x + shift) per channel; null pointers mean neither.
struct Rectifier {
  const float* scale = nullptr;
  const float* shift = nullptr;
};

/// Sums over some pixels of a map: per channel a centre k, Σ (x − k) and Σ (x − k)², or Σ g and Σ g·(x − k).
/// Small beside the pixels they sum up, so that blocks can be joined in any precision and always in the same order.
struct Moments {
  float* centre = nullptr;  ///< [channels] each
  float* sum = nullptr;
  float* product = nullptr;
};

}  // namespace cmunet::kernels
