// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/multiply.h"

#include <algorithm>
#include <array>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/multiply.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include "cmunet/kernels/simd.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

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

// Rows of the transposed product that stay in registers: they divide kPanel.
constexpr std::size_t kTransposedRows = kLanes == 16 ? 8 : kLanes == 8 ? 4 : kManyRegisters ? 4 : 2;

template <std::size_t Panels>
HWY_INLINE void transposed_block(Rows a, Rows b, std::size_t depth, bool add, float* HWY_RESTRICT c,
                                 std::size_t c_stride) {
  constexpr std::size_t kVectors = Panels * kVectorsPerPanel;
  V sum[kTransposedRows][kVectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kTransposedRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      sum[r][v] = add ? hn::Load(D(), c + r * c_stride + v * kLanes) : hn::Zero(D());
    }
  }
  for (std::size_t k = 0; k < depth; ++k) {
    V right[kVectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) right[v] = hn::Load(D(), b.data + k * b.stride + v * kLanes);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kTransposedRows; ++r) {
      const V left = constant(a.data[k * a.stride + r]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kTransposedRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sum[r][v], D(), c + r * c_stride + v * kLanes);
  }
}

// Rows of the right operand that stay in the first-level cache: 256 · 32 floats.
constexpr std::size_t kDepthAtOnce = 256;

void multiply_transposed(Rows a, Rows b, std::size_t depth, std::size_t rows, std::size_t columns, bool add, float* c,
                         std::size_t c_stride) {
  for (std::size_t k = 0; k < depth; k += kDepthAtOnce) {
    const std::size_t part = std::min(kDepthAtOnce, depth - k);
    const Rows left{a.data + k * a.stride, a.stride}, right{b.data + k * b.stride, b.stride};
    const bool adds = add || k > 0;
    std::size_t j = 0;
    for (; j + kPanelsAtOnce * kPanel <= columns; j += kPanelsAtOnce * kPanel) {
      for (std::size_t i = 0; i < rows; i += kTransposedRows) {
        transposed_block<kPanelsAtOnce>({left.data + i, left.stride}, {right.data + j, right.stride}, part, adds,
                                        c + i * c_stride + j, c_stride);
      }
    }
    for (; j < columns; j += kPanel) {
      for (std::size_t i = 0; i < rows; i += kTransposedRows) {
        transposed_block<1>({left.data + i, left.stride}, {right.data + j, right.stride}, part, adds,
                            c + i * c_stride + j, c_stride);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::kernels {

HWY_EXPORT(multiply);
HWY_EXPORT(multiply_transposed);

void multiply(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t panels,
              std::size_t depth, Start start, float* c, std::size_t c_stride) {
  HWY_DYNAMIC_DISPATCH(multiply)(a, a_stride, rows, weights, panels, depth, start, c, c_stride);
}

void multiply_transposed(Rows a, Rows b, std::size_t depth, std::size_t rows, std::size_t columns, bool add, float* c,
                         std::size_t c_stride) {
  HWY_DYNAMIC_DISPATCH(multiply_transposed)(a, b, depth, rows, columns, add, c, c_stride);
}

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
