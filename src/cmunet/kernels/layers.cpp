// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/layers.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/layers.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include <hwy/contrib/math/math-inl.h>

#include "cmunet/kernels/simd.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

constexpr std::size_t kPixels = 8;  // neighbours that share each load of a weight

// The image around `kPixels` pixels from (row, x0), zero beyond its edge; `row` counts through all images.
struct Taps {
  float values[3][kPixels + 2] = {};
  template <typename T>
  HWY_INLINE Taps(const float* grey, const Map<T>& map, std::size_t row, std::size_t x0) {
    const std::size_t y = row % map.height;
    for (std::size_t dy = 0; dy < 3; ++dy) {
      if (y + dy < 1 || y + dy > map.height) continue;
      for (std::size_t dx = 0; dx < kPixels + 2; ++dx) {
        const std::size_t x = x0 + dx - 1;  // wraps below zero, then fails the test
        if (x < map.width) values[dy][dx] = grey[(row + dy - 1) * map.width + x];
      }
    }
  }
};

void first_convolution(const float* grey, const float* weights, const float* bias, bool relu, RowRange rows,
                       const Map<float>& output) {
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t x0 = 0; x0 < output.width; x0 += kPixels) {
      const Taps taps(grey, output, row, x0);
      const std::size_t pixels = std::min(kPixels, output.width - x0);
      for (std::size_t c = 0; c < output.channels; c += kLanes) {
        V sum[kPixels];
        for (V& s : sum) s = hn::Load(D(), bias + c);
#pragma GCC unroll 9
        for (std::size_t tap = 0; tap < 9; ++tap) {
          const V w = hn::Load(D(), weights + tap * output.channels + c);
#pragma GCC unroll 8
          for (std::size_t p = 0; p < kPixels; ++p) {
            sum[p] = hn::MulAdd(constant(taps.values[tap / 3][p + tap % 3]), w, sum[p]);
          }
        }
        float* out = output.data + (row * output.width + x0) * output.pixel_stride + c;
        for (std::size_t p = 0; p < pixels; ++p) {
          hn::Store(relu ? positive_part(sum[p]) : sum[p], D(), out + p * output.pixel_stride);
        }
      }
    }
  }
}

void first_convolution_gradient(const float* grey, const Map<const float>& gradient, RowRange rows, float* out) {
  std::fill_n(out, 9 * gradient.channels, 0.0F);
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t x0 = 0; x0 < gradient.width; x0 += kPixels) {
      const Taps taps(grey, gradient, row, x0);
      const std::size_t pixels = std::min(kPixels, gradient.width - x0);
      const float* g = gradient.data + (row * gradient.width + x0) * gradient.pixel_stride;
      for (std::size_t c = 0; c < gradient.channels; c += kLanes) {
        V sum[9];
#pragma GCC unroll 9
        for (std::size_t tap = 0; tap < 9; ++tap) sum[tap] = hn::Load(D(), out + tap * gradient.channels + c);
        for (std::size_t p = 0; p < pixels; ++p) {
          const V value = hn::Load(D(), g + p * gradient.pixel_stride + c);
#pragma GCC unroll 9
          for (std::size_t tap = 0; tap < 9; ++tap) {
            sum[tap] = hn::MulAdd(constant(taps.values[tap / 3][p + tap % 3]), value, sum[tap]);
          }
        }
#pragma GCC unroll 9
        for (std::size_t tap = 0; tap < 9; ++tap) hn::Store(sum[tap], D(), out + tap * gradient.channels + c);
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

// Highway's exponential holds up to 104, and is 0 of NaN; from 88 on the result is 0 in floats.
HWY_INLINE V sigmoid(V x) {
  const V one = constant(1);
  const V result = hn::Div(one, hn::Add(one, hn::Exp(D(), hn::Min(constant(88), hn::Neg(x)))));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

void logistic(float* values, std::size_t count) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(sigmoid(hn::LoadU(D(), values + i)), D(), values + i);
  }
  float rest[kPanel] = {};
  std::copy(values + i, values + count, rest);
  for (std::size_t j = 0; j < count - i; j += kLanes) {
    hn::StoreU(sigmoid(hn::LoadU(D(), rest + j)), D(), rest + j);
  }
  std::copy(rest, rest + (count - i), values + i);
}

const char* instruction_set() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::kernels {

HWY_EXPORT(first_convolution);
HWY_EXPORT(first_convolution_gradient);
HWY_EXPORT(logit_difference);
HWY_EXPORT(logistic);
HWY_EXPORT(instruction_set);

void first_convolution(const float* grey, const float* weights, const float* bias, bool relu, RowRange rows,
                       const Map<float>& output) {
  HWY_DYNAMIC_DISPATCH(first_convolution)(grey, weights, bias, relu, rows, output);
}

void first_convolution_gradient(const float* grey, const Map<const float>& gradient, RowRange rows, float* out) {
  HWY_DYNAMIC_DISPATCH(first_convolution_gradient)(grey, gradient, rows, out);
}

void logit_difference(const float* x, std::size_t pixel_stride, std::size_t channels, std::size_t count,
                      const float* weights, float bias, float* out) {
  HWY_DYNAMIC_DISPATCH(logit_difference)(x, pixel_stride, channels, count, weights, bias, out);
}

void logistic(float* values, std::size_t count) { HWY_DYNAMIC_DISPATCH(logistic)(values, count); }

std::string instruction_set() { return HWY_DYNAMIC_DISPATCH(instruction_set)(); }

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
