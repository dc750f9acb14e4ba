// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/winograd.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/winograd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include <hwy/cache_control.h>

#include "cmunet/kernels/winograd_transforms.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

// The second pass of a window's transform, over what the first made of its columns.
template <std::size_t Size>
HWY_INLINE void transform_rows(const V (&half)[Size][Size], float* out, std::size_t position_stride) {
  for (std::size_t a = 0; a < Size; ++a) {
    V row[Size], done[Size];
#pragma GCC unroll 8
    for (std::size_t x = 0; x < Size; ++x) row[x] = half[x][a];
    transform_window(row, done);
#pragma GCC unroll 8
    for (std::size_t b = 0; b < Size; ++b) hn::Store(done[b], D(), out + (a * Size + b) * position_stride);
  }
}

// A tile's window on the map.
struct Window {
  const float* corner;                   // may lie outside
  std::ptrdiff_t top, left;              // of the corner
  std::ptrdiff_t height, width, stride;  // of the map, and from one of its pixels to the next
};

// `Rectify`: with the rectifier, which leaves the zeros beyond the edge alone. `Inside`: nothing is beyond it.
template <std::size_t Side, bool Rectify, bool Inside>
HWY_INLINE void transform_window_at(const Window& window, const Rectifier& rectifier, std::size_t channels, float* out,
                                    std::size_t position_stride) {
  constexpr auto kSize = static_cast<std::ptrdiff_t>(Side + 2);
  for (std::size_t c = 0; c < channels; c += kLanes) {
    const V scale = Rectify ? hn::Load(D(), rectifier.scale + c) : hn::Zero(D());
    const V shift = Rectify ? hn::Load(D(), rectifier.shift + c) : hn::Zero(D());
    V half[kSize][kSize];
    for (std::ptrdiff_t x = 0; x < kSize; ++x) {
      V column[kSize];
#pragma GCC unroll 8
      for (std::ptrdiff_t y = 0; y < kSize; ++y) {
        const std::ptrdiff_t py = window.top + y, px = window.left + x;
        column[y] = hn::Zero(D());
        if (!Inside && (py < 0 || px < 0 || py >= window.height || px >= window.width)) continue;
        const float* pixel = window.corner + (y * window.width + x) * window.stride + c;
        column[y] = hn::Load(D(), pixel);
        if (Rectify) column[y] = rectified(column[y], scale, shift);
        // What the next tile reads and this one did not: its rows are more streams than processors foresee.
        if (x >= 2) hwy::Prefetch(pixel + static_cast<std::ptrdiff_t>(Side) * window.stride);
      }
      transform_window(column, half[x]);
    }
    transform_rows(half, out + c, position_stride);
  }
}

template <std::size_t Side, bool Rectify>
void transform_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out) {
  constexpr auto kSize = static_cast<std::ptrdiff_t>(Side + 2);
  const auto height = static_cast<std::ptrdiff_t>(input.height), width = static_cast<std::ptrdiff_t>(input.width);
  const auto stride = static_cast<std::ptrdiff_t>(input.pixel_stride);
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const TilePlace place = place_of(input, tiles.first + t, Side);
    const std::ptrdiff_t top = static_cast<std::ptrdiff_t>(place.y) - 1;
    const std::ptrdiff_t left = static_cast<std::ptrdiff_t>(place.x) - 1;
    const float* image = input.data + place.image * input.height * input.width * input.pixel_stride;
    const Window window{image + (top * width + left) * stride, top, left, height, width, stride};
    float* target = out.data + t * out.tile_stride;
    if (top >= 0 && left >= 0 && top + kSize <= height && left + kSize <= width) {
      transform_window_at<Side, Rectify, true>(window, rectifier, input.channels, target, out.position_stride);
    } else {
      transform_window_at<Side, Rectify, false>(window, rectifier, input.channels, target, out.position_stride);
    }
  }
}

template <std::size_t Side>
void transform_input_of(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles,
                        Transformed<float> out) {
  if (rectifier.scale != nullptr) {
    transform_input<Side, true>(input, rectifier, tiles, out);
  } else {
    transform_input<Side, false>(input, rectifier, tiles, out);
  }
}

void winograd_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out) {
  if (tiles.side == kLargeTile) {
    transform_input_of<kLargeTile>(input, rectifier, tiles, out);
  } else {
    transform_input_of<kTile>(input, rectifier, tiles, out);
  }
}

void winograd_output_adjoint(const Map<const float>& gradient, Tiles tiles, Transformed<float> out) {
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const TilePlace place = place_of(gradient, tiles.first + t);
    const std::size_t rows = std::min(kTile, gradient.height - place.y);
    const std::size_t columns = std::min(kTile, gradient.width - place.x);
    const float* corner =
        gradient.data + ((place.image * gradient.height + place.y) * gradient.width + place.x) * gradient.pixel_stride;
    for (std::size_t c = 0; c < gradient.channels; c += kLanes) {
      V half[kTile][kWindow];
      for (std::size_t x = 0; x < kTile; ++x) {
        V column[kTile];
        for (std::size_t y = 0; y < kTile; ++y) {
          const bool within = y < rows && x < columns;
          column[y] =
              within ? hn::Load(D(), corner + (y * gradient.width + x) * gradient.pixel_stride + c) : hn::Zero(D());
        }
        spread_tile(column, half[x]);
      }
      float* target = out.data + t * out.tile_stride + c;
      for (std::size_t a = 0; a < kWindow; ++a) {
        V row[kTile], done[kWindow];
        for (std::size_t x = 0; x < kTile; ++x) row[x] = half[x][a];
        spread_tile(row, done);
        for (std::size_t b = 0; b < kWindow; ++b) {
          hn::Store(done[b], D(), target + (a * kWindow + b) * out.position_stride);
        }
      }
    }
  }
}

// The positions of `Rows` rows from `first` on.
template <std::size_t Side, std::size_t Rows>
void transform_filters(const float* filters, std::size_t count, std::size_t first, std::size_t position_stride,
                       float* out) {
  constexpr std::size_t kSize = Side + 2;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t lane = 0; lane < kPanel; lane += kLanes) {
      const float* g = filters + i * 9 * kPanel + lane;
      V half[3][kSize];
      for (std::size_t x = 0; x < 3; ++x) {
        transform_taps(hn::Load(D(), g + x * kPanel), hn::Load(D(), g + (3 + x) * kPanel),
                       hn::Load(D(), g + (6 + x) * kPanel), half[x]);
      }
      for (std::size_t a = 0; a < Rows; ++a) {
        V row[kSize];
        transform_taps(half[0][first + a], half[1][first + a], half[2][first + a], row);
        float* target = out + a * kSize * position_stride + i * kPanel + lane;
        for (std::size_t b = 0; b < kSize; ++b) hn::Store(row[b], D(), target + b * position_stride);
      }
    }
  }
}

void winograd_filters(const float* filters, std::size_t count, std::size_t side, std::size_t position_stride,
                      float* out) {
  if (side == kLargeTile) {
    transform_filters<kLargeTile, kLargeTile + 2>(filters, count, 0, position_stride, out);
  } else {
    transform_filters<kTile, kWindow>(filters, count, 0, position_stride, out);
  }
}

void winograd_half_filters(const float* filters, std::size_t count, std::size_t half, std::size_t position_stride,
                           float* out) {
  constexpr std::size_t kRows = kWindow / 2;
  transform_filters<kTile, kRows>(filters, count, half * kRows, position_stride, out);
}

void winograd_filters_adjoint(const float* in, std::size_t position_stride, std::size_t filter_stride,
                              std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t lane = 0; lane < kPanel; lane += kLanes) {
      const float* m = in + i * filter_stride + lane;
      V half[kWindow][3];
      for (std::size_t b = 0; b < kWindow; ++b) {
        V column[kWindow];
        for (std::size_t a = 0; a < kWindow; ++a) {
          column[a] = hn::Load(D(), m + (a * kWindow + b) * position_stride);
        }
        gather_taps(column, half[b]);
      }
      for (std::size_t y = 0; y < 3; ++y) {
        V row[kWindow], taps[3];
        for (std::size_t b = 0; b < kWindow; ++b) row[b] = half[b][y];
        gather_taps(row, taps);
        for (std::size_t x = 0; x < 3; ++x) hn::Store(taps[x], D(), out + (i * 9 + y * 3 + x) * kPanel + lane);
      }
    }
  }
}

template <std::size_t Side>
using TileOf = V[Side][Side];

template <std::size_t Side>
HWY_INLINE void read_tile(const float* in, std::size_t position_stride, TileOf<Side>& tile) {
  constexpr std::size_t kSize = Side + 2;
  V half[kSize][Side];
  for (std::size_t b = 0; b < kSize; ++b) {
    V column[kSize];
#pragma GCC unroll 8
    for (std::size_t a = 0; a < kSize; ++a) column[a] = hn::Load(D(), in + (a * kSize + b) * position_stride);
    transform_tile(column, half[b]);
  }
  for (std::size_t y = 0; y < Side; ++y) {
    V row[kSize];
#pragma GCC unroll 8
    for (std::size_t b = 0; b < kSize; ++b) row[b] = half[b][y];
    transform_tile(row, tile[y]);
  }
}

// The part of a tile that lies on the map.
struct Extent {
  TilePlace place;
  std::size_t rows, columns;
};

template <typename T>
HWY_INLINE T* pixel(const Map<T>& map, const Extent& extent, std::size_t y, std::size_t x) {
  const TilePlace& place = extent.place;
  return map.data + ((place.image * map.height + place.y + y) * map.width + place.x + x) * map.pixel_stride;
}

template <std::size_t Side>
HWY_INLINE void store_tile(const TileOf<Side>& tile, const Extent& extent, const Map<float>& output, std::size_t c) {
  for (std::size_t y = 0; y < extent.rows; ++y) {
    for (std::size_t x = 0; x < extent.columns; ++x) hn::Store(tile[y][x], D(), pixel(output, extent, y, x) + c);
  }
}

// Calls `finish(tile, extent, first_of_range, channel)`, which may change the tile, and stores it.
template <std::size_t Side, typename Finish>
HWY_INLINE void for_each_tile(Transformed<const float> in, Tiles tiles, const Map<float>& output,
                              const Finish& finish) {
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const TilePlace place = place_of(output, tiles.first + t, Side);
    const Extent extent{place, std::min(Side, output.height - place.y), std::min(Side, output.width - place.x)};
    for (std::size_t c = 0; c < output.channels; c += kLanes) {
      TileOf<Side> tile;
      read_tile<Side>(in.data + t * in.tile_stride + c, in.position_stride, tile);
      if (extent.rows == Side && extent.columns == Side) {  // loops of constant length
        const Extent whole{place, Side, Side};
        finish(tile, whole, t == 0, c);
        store_tile<Side>(tile, whole, output, c);
      } else {
        finish(tile, extent, t == 0, c);
        store_tile<Side>(tile, extent, output, c);
      }
    }
  }
}

template <std::size_t Side>
HWY_INLINE void pool_tile(const TileOf<Side>& tile, const Extent& extent, const Map<float>& pooled, std::size_t c) {
  const TilePlace& place = extent.place;
  for (std::size_t y = 0; y < extent.rows; y += 2) {
    for (std::size_t x = 0; x < extent.columns; x += 2) {
      const V best = hn::Max(hn::Max(tile[y][x], tile[y][x + 1]), hn::Max(tile[y + 1][x], tile[y + 1][x + 1]));
      const std::size_t row = place.image * pooled.height + (place.y + y) / 2;
      hn::Store(best, D(), pooled.data + (row * pooled.width + (place.x + x) / 2) * pooled.pixel_stride + c);
    }
  }
}

HWY_INLINE void add_to(float* target, V value) { hn::Store(hn::Add(hn::Load(D(), target), value), D(), target); }

template <std::size_t Side>
void transform_output(Transformed<const float> in, Tiles tiles, const Epilogue& epilogue, const Map<float>& output) {
  const Moments& moments = epilogue.moments;
  if (epilogue.bias != nullptr) {
    for_each_tile<Side>(in, tiles, output, [&](TileOf<Side>& tile, const Extent& extent, bool, std::size_t c) {
      const V bias = hn::Load(D(), epilogue.bias + c);
      for (std::size_t y = 0; y < Side; ++y) {
        for (std::size_t x = 0; x < Side; ++x) tile[y][x] = positive_part(hn::Add(tile[y][x], bias));
      }
      if (epilogue.pooled.data != nullptr) pool_tile<Side>(tile, extent, epilogue.pooled, c);
    });
  } else if (epilogue.rectified.data != nullptr) {
    for_each_tile<Side>(in, tiles, output, [&](TileOf<Side>& tile, const Extent& extent, bool first, std::size_t c) {
      const V scale = hn::Load(D(), epilogue.rectifier.scale + c), shift = hn::Load(D(), epilogue.rectifier.shift + c);
      const V centre = hn::Load(D(), epilogue.centre + c);
      V sum = hn::Zero(D()), product = hn::Zero(D());
      for (std::size_t y = 0; y < extent.rows; ++y) {
        for (std::size_t x = 0; x < extent.columns; ++x) {
          const V value = hn::Load(D(), pixel(epilogue.rectified, extent, y, x) + c);
          const auto passed = hn::Gt(hn::MulAdd(value, scale, shift), hn::Zero(D()));
          const V g = hn::IfThenElseZero(passed, tile[y][x]);
          sum = hn::Add(sum, g);
          product = hn::MulAdd(g, hn::Sub(value, centre), product);
          tile[y][x] = g;
        }
      }
      if (first) {
        hn::Store(sum, D(), moments.sum + c);
        hn::Store(product, D(), moments.product + c);
      } else {
        add_to(moments.sum + c, sum);
        add_to(moments.product + c, product);
      }
    });
  } else if (moments.sum != nullptr) {
    for_each_tile<Side>(in, tiles, output, [&](TileOf<Side>& tile, const Extent& extent, bool first, std::size_t c) {
      if (first) {
        hn::Store(tile[0][0], D(), moments.centre + c);
        hn::Store(hn::Zero(D()), D(), moments.sum + c);
        hn::Store(hn::Zero(D()), D(), moments.product + c);
      }
      const V centre = hn::Load(D(), moments.centre + c);
      V sum = hn::Zero(D()), product = hn::Zero(D());
      for (std::size_t y = 0; y < extent.rows; ++y) {
        for (std::size_t x = 0; x < extent.columns; ++x) {
          const V away = hn::Sub(tile[y][x], centre);
          sum = hn::Add(sum, away);
          product = hn::MulAdd(away, away, product);
        }
      }
      add_to(moments.sum + c, sum);
      add_to(moments.product + c, product);
    });
  } else {
    for_each_tile<Side>(in, tiles, output, [](TileOf<Side>&, const Extent&, bool, std::size_t) {});
  }
}

void winograd_output(Transformed<const float> in, Tiles tiles, const Epilogue& epilogue, const Map<float>& output) {
  if (tiles.side == kLargeTile) {
    transform_output<kLargeTile>(in, tiles, epilogue, output);
  } else {
    transform_output<kTile>(in, tiles, epilogue, output);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::kernels {

HWY_EXPORT(winograd_input);
HWY_EXPORT(winograd_output);
HWY_EXPORT(winograd_output_adjoint);
HWY_EXPORT(winograd_filters);
HWY_EXPORT(winograd_half_filters);
HWY_EXPORT(winograd_filters_adjoint);

void winograd_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out) {
  HWY_DYNAMIC_DISPATCH(winograd_input)(input, rectifier, tiles, out);
}

void winograd_output(Transformed<const float> in, Tiles tiles, const Epilogue& epilogue, const Map<float>& output) {
  HWY_DYNAMIC_DISPATCH(winograd_output)(in, tiles, epilogue, output);
}

void winograd_output_adjoint(const Map<const float>& gradient, Tiles tiles, Transformed<float> out) {
  HWY_DYNAMIC_DISPATCH(winograd_output_adjoint)(gradient, tiles, out);
}

void winograd_filters(const float* filters, std::size_t count, std::size_t side, std::size_t position_stride,
                      float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_filters)(filters, count, side, position_stride, out);
}

void winograd_half_filters(const float* filters, std::size_t count, std::size_t half, std::size_t position_stride,
                           float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_half_filters)(filters, count, half, position_stride, out);
}

void winograd_filters_adjoint(const float* in, std::size_t position_stride, std::size_t filter_stride,
                              std::size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_filters_adjoint)(in, position_stride, filter_stride, count, out);
}

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
