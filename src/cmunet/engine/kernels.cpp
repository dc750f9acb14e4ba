// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/kernels.h"

#include <algorithm>
#include <array>
#include <utility>

// Arrays of vectors need a size known when compiling; the other exclusions only save compile time.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/engine/kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cmunet::engine::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
// At most a panel wide, so that channel counts are multiples of every vector's length.
using D = hn::CappedTag<float, kPanel>;
using V = hn::Vec<D>;
constexpr std::size_t kLanes = hn::MaxLanes(D());

HWY_INLINE V constant(float value) { return hn::Set(D(), value); }

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

struct Corner {
  std::ptrdiff_t y, x;
};

// The window's upper left pixel; −1 at the map's edge.
HWY_INLINE Corner window_corner(std::size_t tile, std::size_t tiles_across) {
  return {static_cast<std::ptrdiff_t>(tile / tiles_across * kTile) - 1,
          static_cast<std::ptrdiff_t>(tile % tiles_across * kTile) - 1};
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

void winograd_input(const Map<const float>& input, Tiles tiles, Transformed<float> out) {
  const std::size_t across = (input.width + kTile - 1) / kTile;
  const auto height = static_cast<std::ptrdiff_t>(input.height), width = static_cast<std::ptrdiff_t>(input.width);
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const Corner corner = window_corner(tiles.first + t, across);
    const auto size = static_cast<std::ptrdiff_t>(kWindow);
    const bool inside = corner.y >= 0 && corner.x >= 0 && corner.y + size <= height && corner.x + size <= width;
    for (std::size_t c = 0; c < input.channels; c += kLanes) {
      V window[kWindow][kWindow];  // [column][row]
      for (std::ptrdiff_t x = 0; x < size; ++x) {
        for (std::ptrdiff_t y = 0; y < size; ++y) {
          const std::ptrdiff_t py = corner.y + y, px = corner.x + x;
          const bool readable = inside || (py >= 0 && px >= 0 && py < height && px < width);
          const std::size_t offset = static_cast<std::size_t>(py * width + px) * input.pixel_stride + c;
          window[x][y] = readable ? hn::Load(D(), input.data + offset) : hn::Zero(D());
          // What the next tile reads and this one did not: six rows are more streams than processors foresee.
          if (readable && x >= 2) hwy::Prefetch(input.data + offset + kTile * input.pixel_stride);
        }
      }
      transform_and_store(window, out.data + t * input.channels + c, out.position_stride);
    }
  }
}

HWY_INLINE void read_tile(const float* in, std::size_t position_stride, V bias, V (*tile)[kTile]) {
  V half[kWindow][kTile];
  for (std::size_t b = 0; b < kWindow; ++b) {
    V column[kWindow];
    for (std::size_t a = 0; a < kWindow; ++a) column[a] = hn::Load(D(), in + (a * kWindow + b) * position_stride);
    transform_tile(column, half[b]);
  }
  for (std::size_t y = 0; y < kTile; ++y) {
    V row[kWindow], done[kTile];
    for (std::size_t b = 0; b < kWindow; ++b) row[b] = half[b][y];
    transform_tile(row, done);
    for (std::size_t x = 0; x < kTile; ++x) tile[y][x] = hn::Max(hn::Add(done[x], bias), hn::Zero(D()));
  }
}

void winograd_output(Transformed<const float> in, Tiles tiles, const float* bias, const Map<float>& output,
                     const Map<float>& pooled) {
  const std::size_t across = (output.width + kTile - 1) / kTile;
  for (std::size_t t = 0; t < tiles.count; ++t) {
    const std::size_t y0 = (tiles.first + t) / across * kTile, x0 = (tiles.first + t) % across * kTile;
    const std::size_t rows = std::min(kTile, output.height - y0), columns = std::min(kTile, output.width - x0);
    for (std::size_t c = 0; c < output.channels; c += kLanes) {
      V tile[kTile][kTile];
      read_tile(in.data + t * output.channels + c, in.position_stride, hn::Load(D(), bias + c), tile);
      for (std::size_t y = 0; y < rows; ++y) {
        float* row = output.data + ((y0 + y) * output.width + x0) * output.pixel_stride + c;
        for (std::size_t x = 0; x < columns; ++x) hn::Store(tile[y][x], D(), row + x * output.pixel_stride);
      }
      if (pooled.data == nullptr) continue;
      for (std::size_t y = 0; y < rows; y += 2) {
        float* row = pooled.data + ((y0 + y) / 2 * pooled.width + x0 / 2) * pooled.pixel_stride + c;
        for (std::size_t x = 0; x < columns; x += 2) {
          const V best = hn::Max(hn::Max(tile[y][x], tile[y][x + 1]), hn::Max(tile[y + 1][x], tile[y + 1][x + 1]));
          hn::Store(best, D(), row + x / 2 * pooled.pixel_stride);
        }
      }
    }
  }
}

constexpr std::size_t kVectorsPerPanel = kPanel / kLanes;
// Accumulators, two vectors of weights and a broadcast value must fit the registers: 32 of them, or 16 up to AVX2.
constexpr bool kManyRegisters = HWY_TARGET == HWY_NEON || kLanes == 16;
constexpr std::size_t kRows = kLanes == 16 ? 12 : kLanes == 8 ? 6 : kManyRegisters ? 5 : 2;
// One vector of weights per row and step would leave the memory ports as busy as the multipliers.
constexpr std::size_t kPanelsAtOnce = kLanes == 16 ? 2 : 1;

// `Rows` rows times `Panels` panels, kept in registers over the whole depth.
template <std::size_t Rows, std::size_t Panels>
HWY_INLINE void multiply_block(const float* HWY_RESTRICT a, std::size_t a_stride, const float* HWY_RESTRICT weights,
                               std::size_t depth, Start start, float* HWY_RESTRICT c, std::size_t c_stride) {
  constexpr std::size_t kVectors = Panels * kVectorsPerPanel;
  V sum[Rows][kVectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      if (start.add) {
        sum[r][v] = hn::Load(D(), c + r * c_stride + v * kLanes);
      } else {
        sum[r][v] = start.bias != nullptr ? hn::Load(D(), start.bias + v * kLanes) : hn::Zero(D());
      }
    }
  }
  for (std::size_t k = 0; k < depth; ++k) {
    V w[kVectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t panel = v / kVectorsPerPanel, part = v % kVectorsPerPanel;
      w[v] = hn::Load(D(), weights + (panel * depth + k) * kPanel + part * kLanes);
    }
#pragma GCC unroll 12
    for (std::size_t r = 0; r < Rows; ++r) {
      const V value = constant(a[r * a_stride + k]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(value, w[v], sum[r][v]);
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sum[r][v], D(), c + r * c_stride + v * kLanes);
  }
}

using Block = void (*)(const float*, std::size_t, const float*, std::size_t, Start, float*, std::size_t);

template <std::size_t Panels, std::size_t... I>
constexpr std::array<Block, sizeof...(I)> blocks_for(std::index_sequence<I...>) {
  return {&multiply_block<I + 1, Panels>...};
}

template <std::size_t Panels>
void multiply_panels(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t depth,
                     Start start, float* c, std::size_t c_stride) {
  static constexpr auto kBlocks = blocks_for<Panels>(std::make_index_sequence<kRows>());
  for (std::size_t row = 0; row < rows; row += kRows) {
    const std::size_t count = std::min(kRows, rows - row);
    kBlocks[count - 1](a + row * a_stride, a_stride, weights, depth, start, c + row * c_stride, c_stride);
  }
}

void multiply(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t panels,
              std::size_t depth, Start start, float* c, std::size_t c_stride) {
  const auto part = [&](std::size_t panel) {
    return Start{start.bias != nullptr ? start.bias + panel * kPanel : nullptr, start.add};
  };
  std::size_t panel = 0;
  for (; panel + kPanelsAtOnce <= panels; panel += kPanelsAtOnce) {
    multiply_panels<kPanelsAtOnce>(a, a_stride, rows, weights + panel * depth * kPanel, depth, part(panel),
                                   c + panel * kPanel, c_stride);
  }
  for (; panel < panels; ++panel) {
    multiply_panels<1>(a, a_stride, rows, weights + panel * depth * kPanel, depth, part(panel), c + panel * kPanel,
                       c_stride);
  }
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

// Nine taps of the image around (y, x) for up to kPixels neighbours, so that each weight is loaded once for all.
void first_convolution(const float* grey, const float* weights, const float* bias, std::size_t row_begin,
                       std::size_t row_end, const Map<float>& output) {
  constexpr std::size_t kPixels = 8;
  const std::size_t width = output.width, height = output.height;
  for (std::size_t y = row_begin; y < row_end; ++y) {
    for (std::size_t x0 = 0; x0 < width; x0 += kPixels) {
      float taps[3][kPixels + 2] = {};
      for (std::size_t dy = 0; dy < 3; ++dy) {
        if (y + dy < 1 || y + dy > height) continue;
        for (std::size_t dx = 0; dx < kPixels + 2; ++dx) {
          if (x0 + dx >= 1 && x0 + dx <= width) taps[dy][dx] = grey[(y + dy - 1) * width + x0 + dx - 1];
        }
      }
      const std::size_t pixels = std::min(kPixels, width - x0);
      for (std::size_t c = 0; c < output.channels; c += kLanes) {
        V sum[kPixels];
        for (V& s : sum) s = hn::Load(D(), bias + c);
#pragma GCC unroll 9
        for (std::size_t tap = 0; tap < 9; ++tap) {
          const V w = hn::Load(D(), weights + tap * output.channels + c);
#pragma GCC unroll 8
          for (std::size_t p = 0; p < kPixels; ++p) {
            sum[p] = hn::MulAdd(constant(taps[tap / 3][p + tap % 3]), w, sum[p]);
          }
        }
        float* out = output.data + (y * width + x0) * output.pixel_stride + c;
        for (std::size_t p = 0; p < pixels; ++p) {
          hn::Store(hn::Max(sum[p], hn::Zero(D())), D(), out + p * output.pixel_stride);
        }
      }
    }
  }
}

void logit_difference(const float* x, std::size_t pixel_stride, std::size_t channels, std::size_t count,
                      const float* weights, float bias, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    V sum = hn::Zero(D());
    for (std::size_t c = 0; c < channels; c += kLanes) {
      sum = hn::MulAdd(hn::Load(D(), x + i * pixel_stride + c), hn::Load(D(), weights + c), sum);
    }
    out[i] = bias + hn::GetLane(hn::SumOfLanes(D(), sum));
  }
}

void logistic(float* values, std::size_t count) {
  const V one = constant(1);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V x = hn::LoadU(D(), values + i);
    hn::StoreU(hn::Div(one, hn::Add(one, hn::Exp(D(), hn::Neg(x)))), D(), values + i);
  }
  float rest[kPanel] = {};
  std::copy(values + i, values + count, rest);
  for (std::size_t j = 0; j < count - i; j += kLanes) {
    const V x = hn::LoadU(D(), rest + j);
    hn::StoreU(hn::Div(one, hn::Add(one, hn::Exp(D(), hn::Neg(x)))), D(), rest + j);
  }
  std::copy(rest, rest + (count - i), values + i);
}

const char* instruction_set() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::engine::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::engine::kernels {

HWY_EXPORT(winograd_input);
HWY_EXPORT(winograd_output);
HWY_EXPORT(winograd_filters);
HWY_EXPORT(multiply);
HWY_EXPORT(first_convolution);
HWY_EXPORT(logit_difference);
HWY_EXPORT(logistic);
HWY_EXPORT(instruction_set);

void winograd_input(const Map<const float>& input, Tiles tiles, Transformed<float> out) {
  HWY_DYNAMIC_DISPATCH(winograd_input)(input, tiles, out);
}

void winograd_output(Transformed<const float> in, Tiles tiles, const float* bias, const Map<float>& output,
                     const Map<float>& pooled) {
  HWY_DYNAMIC_DISPATCH(winograd_output)(in, tiles, bias, output, pooled);
}

void multiply(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t panels,
              std::size_t depth, Start start, float* c, std::size_t c_stride) {
  HWY_DYNAMIC_DISPATCH(multiply)(a, a_stride, rows, weights, panels, depth, start, c, c_stride);
}

void winograd_filters(const float* filters, std::size_t count, std::size_t position_stride, float* out) {
  HWY_DYNAMIC_DISPATCH(winograd_filters)(filters, count, position_stride, out);
}

void first_convolution(const float* grey, const float* weights, const float* bias, std::size_t row_begin,
                       std::size_t row_end, const Map<float>& output) {
  HWY_DYNAMIC_DISPATCH(first_convolution)(grey, weights, bias, row_begin, row_end, output);
}

void logit_difference(const float* x, std::size_t pixel_stride, std::size_t channels, std::size_t count,
                      const float* weights, float bias, float* out) {
  HWY_DYNAMIC_DISPATCH(logit_difference)(x, pixel_stride, channels, count, weights, bias, out);
}

void logistic(float* values, std::size_t count) { HWY_DYNAMIC_DISPATCH(logistic)(values, count); }

std::string instruction_set() { return HWY_DYNAMIC_DISPATCH(instruction_set)(); }

}  // namespace cmunet::engine::kernels
#endif  // HWY_ONCE
