// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/winograd.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/winograd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include <hwy/cache_control.h>

#include "cmunet/kernels/simd.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

// Bᵀ applied to six vectors.
HWY_INLINE void transform_window(const V* d, V* out) {
  const V four = constant(4), five = constant(5), two = constant(2);
  out[0] = hn::MulAdd(four, d[0], hn::NegMulAdd(five, d[2], d[4]));
  const V even = hn::NegMulAdd(four, d[2], d[4]), odd = hn::NegMulAdd(four, d[1], d[3]);
  out[1] = hn::Add(even, odd);
  out[2] = hn::Sub(even, odd);
  const V outer = hn::Sub(d[4], d[2]), inner = hn::Mul(two, hn::Sub(d[3], d[1]));
  out[3] = hn::Add(outer, inner);
  out[4] = hn::Sub(outer, inner);
  out[5] = hn::MulAdd(four, d[1], hn::NegMulAdd(five, d[3], d[5]));
}

// Aᵀ applied to six vectors.
HWY_INLINE void transform_tile(const V* m, V* out) {
  const V p = hn::Add(m[1], m[2]), q = hn::Sub(m[1], m[2]), r = hn::Add(m[3], m[4]), s = hn::Sub(m[3], m[4]);
  out[0] = hn::Add(m[0], hn::Add(p, r));
  out[1] = hn::MulAdd(constant(2), s, q);
  out[2] = hn::MulAdd(constant(4), r, p);
  out[3] = hn::Add(hn::MulAdd(constant(8), s, q), m[5]);
}

// A applied to four vectors.
HWY_INLINE void spread_tile(const V* d, V* out) {
  const V even = hn::Add(d[0], d[2]), odd = hn::Add(d[1], d[3]);
  const V even2 = hn::MulAdd(constant(4), d[2], d[0]);
  const V odd2 = hn::Mul(constant(2), hn::MulAdd(constant(4), d[3], d[1]));
  out[0] = d[0];
  out[1] = hn::Add(even, odd);
  out[2] = hn::Sub(even, odd);
  out[3] = hn::Add(even2, odd2);
  out[4] = hn::Sub(even2, odd2);
  out[5] = d[3];
}

// G applied to three vectors.
HWY_INLINE void transform_taps(V g0, V g1, V g2, V* out) {
  const V quarter = constant(1.0F / 4), sixth = constant(-1.0F / 6);
  const V outer = hn::Add(g0, g2);
  out[0] = hn::Mul(quarter, g0);
  out[1] = hn::Mul(sixth, hn::Add(outer, g1));
  out[2] = hn::Mul(sixth, hn::Sub(outer, g1));
  const V even = hn::MulAdd(constant(1.0F / 24), g0, hn::Mul(constant(1.0F / 6), g2));
  const V odd = hn::Mul(constant(1.0F / 12), g1);
  out[3] = hn::Add(even, odd);
  out[4] = hn::Sub(even, odd);
  out[5] = g2;
}

// Gᵀ applied to six vectors.
HWY_INLINE void gather_taps(const V* m, V* out) {
  const V minus_sixth = constant(-1.0F / 6), sixth = constant(1.0F / 6);
  const V p = hn::Add(m[1], m[2]), q = hn::Sub(m[1], m[2]), r = hn::Add(m[3], m[4]), s = hn::Sub(m[3], m[4]);
  out[0] = hn::MulAdd(constant(1.0F / 4), m[0], hn::MulAdd(minus_sixth, p, hn::Mul(constant(1.0F / 24), r)));
  out[1] = hn::MulAdd(minus_sixth, q, hn::Mul(constant(1.0F / 12), s));
  out[2] = hn::MulAdd(minus_sixth, p, hn::MulAdd(sixth, r, m[5]));
}

HWY_INLINE void transform_and_store(const V (*window)[kWindow], float* out, std::size_t position_stride) {
  V half[kWindow][kWindow];
  for (std::size_t x = 0; x < kWindow; ++x) transform_window(window[x], half[x]);
  for (std::size_t a = 0; a < kWindow; ++a) {
    V row[kWindow], done[kWindow];
    for (std::size_t x = 0; x < kWindow; ++x) row[x] = half[x][a];
    transform_window(row, done);
    for (std::size_t b = 0; b < kWindow; ++b) hn::Store(done[b], D(), out + (a * kWindow + b) * position_stride);
  }
}

// `Rectify`: with the rectifier, which leaves the zeros beyond the edge alone.
template <bool Rectify>
void transform_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out) {
  const auto height = static_cast<std::ptrdiff_t>(input.height), width = static_cast<std::ptrdiff_t>(input.width);
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const TilePlace place = place_of(input, tiles.first + t);
    const float* image = input.data + place.image * input.height * input.width * input.pixel_stride;
    const std::ptrdiff_t top = static_cast<std::ptrdiff_t>(place.y) - 1,
                         left = static_cast<std::ptrdiff_t>(place.x) - 1;
    const auto size = static_cast<std::ptrdiff_t>(kWindow);
    const bool inside = top >= 0 && left >= 0 && top + size <= height && left + size <= width;
    for (std::size_t c = 0; c < input.channels; c += kLanes) {
      const V scale = Rectify ? hn::Load(D(), rectifier.scale + c) : hn::Zero(D());
      const V shift = Rectify ? hn::Load(D(), rectifier.shift + c) : hn::Zero(D());
      V window[kWindow][kWindow];  // [column][row]
      for (std::ptrdiff_t x = 0; x < size; ++x) {
        for (std::ptrdiff_t y = 0; y < size; ++y) {
          const std::ptrdiff_t py = top + y, px = left + x;
          const bool within = inside || (py >= 0 && px >= 0 && py < height && px < width);
          const std::size_t offset = static_cast<std::size_t>(py * width + px) * input.pixel_stride + c;
          V value = within ? hn::Load(D(), image + offset) : hn::Zero(D());
          if (Rectify && within) value = rectified(value, scale, shift);
          window[x][y] = value;
          // What the next tile reads and this one did not: six rows are more streams than processors foresee.
          if (within && x >= 2) hwy::Prefetch(image + offset + kTile * input.pixel_stride);
        }
      }
      transform_and_store(window, out.data + t * out.tile_stride + c, out.position_stride);
    }
  }
}

void winograd_input(const Map<const float>& input, const Rectifier& rectifier, Tiles tiles, Transformed<float> out) {
  if (rectifier.scale != nullptr) {
    transform_input<true>(input, rectifier, tiles, out);
  } else {
    transform_input<false>(input, rectifier, tiles, out);
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

void winograd_filters(const float* filters, std::size_t count, std::size_t position_stride, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t lane = 0; lane < kPanel; lane += kLanes) {
      const float* g = filters + i * 9 * kPanel + lane;
      V half[3][kWindow];
      for (std::size_t x = 0; x < 3; ++x) {
        transform_taps(hn::Load(D(), g + x * kPanel), hn::Load(D(), g + (3 + x) * kPanel),
                       hn::Load(D(), g + (6 + x) * kPanel), half[x]);
      }
      for (std::size_t a = 0; a < kWindow; ++a) {
        V row[kWindow];
        transform_taps(half[0][a], half[1][a], half[2][a], row);
        float* target = out + a * kWindow * position_stride + i * kPanel + lane;
        for (std::size_t b = 0; b < kWindow; ++b) hn::Store(row[b], D(), target + b * position_stride);
      }
    }
  }
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

HWY_INLINE void read_tile(const float* in, std::size_t position_stride, V (*tile)[kTile]) {
  V half[kWindow][kTile];
  for (std::size_t b = 0; b < kWindow; ++b) {
    V column[kWindow];
    for (std::size_t a = 0; a < kWindow; ++a) column[a] = hn::Load(D(), in + (a * kWindow + b) * position_stride);
    transform_tile(column, half[b]);
  }
  for (std::size_t y = 0; y < kTile; ++y) {
    V row[kWindow];
    for (std::size_t b = 0; b < kWindow; ++b) row[b] = half[b][y];
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

HWY_INLINE void store_tile(const V (*tile)[kTile], const Extent& extent, const Map<float>& output, std::size_t c) {
  for (std::size_t y = 0; y < extent.rows; ++y) {
    for (std::size_t x = 0; x < extent.columns; ++x) hn::Store(tile[y][x], D(), pixel(output, extent, y, x) + c);
  }
}

// Calls `finish(tile, extent, first_of_range, channel)`, which may change the tile, and stores it.
template <typename Finish>
HWY_INLINE void for_each_tile(Transformed<const float> in, Tiles tiles, const Map<float>& output,
                              const Finish& finish) {
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const TilePlace place = place_of(output, tiles.first + t);
    const Extent extent{place, std::min(kTile, output.height - place.y), std::min(kTile, output.width - place.x)};
    for (std::size_t c = 0; c < output.channels; c += kLanes) {
      V tile[kTile][kTile];
      read_tile(in.data + t * in.tile_stride + c, in.position_stride, tile);
      finish(tile, extent, t == 0, c);
      store_tile(tile, extent, output, c);
    }
  }
}

HWY_INLINE void pool_tile(const V (*tile)[kTile], const Extent& extent, const Map<float>& pooled, std::size_t c) {
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

void winograd_output(Transformed<const float> in, Tiles tiles, const Epilogue& epilogue, const Map<float>& output) {
  const Moments& moments = epilogue.moments;
  if (epilogue.bias != nullptr) {
    for_each_tile(in, tiles, output, [&](V(*tile)[kTile], const Extent& extent, bool, std::size_t c) {
      const V bias = hn::Load(D(), epilogue.bias + c);
      for (std::size_t y = 0; y < kTile; ++y) {
        for (std::size_t x = 0; x < kTile; ++x) tile[y][x] = hn::Max(hn::Add(tile[y][x], bias), hn::Zero(D()));
      }
      if (epilogue.pooled.data != nullptr) pool_tile(tile, extent, epilogue.pooled, c);
    });
  } else if (epilogue.rectified.data != nullptr) {
    for_each_tile(in, tiles, output, [&](V(*tile)[kTile], const Extent& extent, bool first, std::size_t c) {
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
    for_each_tile(in, tiles, output, [&](V(*tile)[kTile], const Extent& extent, bool first, std::size_t c) {
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
    for_each_tile(in, tiles, output, [](V(*)[kTile], const Extent&, bool, std::size_t) {});
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

void winograd_filters(const float* filters, std::size_t count, std::size_t position_stride, float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_filters)(filters, count, position_stride, out);
}

void winograd_filters_adjoint(const float* in, std::size_t position_stride, std::size_t filter_stride,
                              std::size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_filters_adjoint)(in, position_stride, filter_stride, count, out);
}

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
