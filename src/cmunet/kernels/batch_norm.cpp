// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/batch_norm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/batch_norm.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include "cmunet/kernels/simd.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

template <typename T>
HWY_INLINE T* pixel_of(const Map<T>& map, std::size_t row, std::size_t x) {
  return map.data + (row * map.width + x) * map.pixel_stride;
}

void moments(const Map<const float>& x, RowRange rows, const Moments& out) {
  std::copy_n(pixel_of(x, rows.begin, 0), x.channels, out.centre);
  std::fill_n(out.sum, x.channels, 0.0F);
  std::fill_n(out.product, x.channels, 0.0F);
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t c = 0; c < x.channels; c += kLanes) {
      const V centre = hn::Load(D(), out.centre + c);
      V sum = hn::Load(D(), out.sum + c), product = hn::Load(D(), out.product + c);
      for (std::size_t i = 0; i < x.width; ++i) {
        const V away = hn::Sub(hn::Load(D(), pixel_of(x, row, i) + c), centre);
        sum = hn::Add(sum, away);
        product = hn::MulAdd(away, away, product);
      }
      hn::Store(sum, D(), out.sum + c);
      hn::Store(product, D(), out.product + c);
    }
  }
}

void sum_pixels(const Map<const float>& x, RowRange rows, float* out) {
  std::fill_n(out, x.channels, 0.0F);
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t i = 0; i < x.width; ++i) {
      const float* from = pixel_of(x, row, i);
      for (std::size_t c = 0; c < x.channels; c += kLanes) {
        hn::Store(hn::Add(hn::Load(D(), out + c), hn::Load(D(), from + c)), D(), out + c);
      }
    }
  }
}

void rectify(const Map<const float>& x, const Rectifier& rectifier, RowRange rows, const Map<float>& z,
             const Map<float>& pooled) {
  const std::size_t step = pooled.data != nullptr ? 2 : 1;
  for (std::size_t row = rows.begin; row < rows.end; row += step) {
    for (std::size_t i = 0; i < x.width; i += step) {
      for (std::size_t c = 0; c < x.channels; c += kLanes) {
        const V scale = hn::Load(D(), rectifier.scale + c), shift = hn::Load(D(), rectifier.shift + c);
        V best = hn::Zero(D());
        for (std::size_t dy = 0; dy < step; ++dy) {
          for (std::size_t dx = 0; dx < step; ++dx) {
            const V value = rectified(hn::Load(D(), pixel_of(x, row + dy, i + dx) + c), scale, shift);
            hn::Store(value, D(), pixel_of(z, row + dy, i + dx) + c);
            best = hn::Max(best, value);
          }
        }
        if (step == 2) hn::Store(best, D(), pixel_of(pooled, row / 2, i / 2) + c);
      }
    }
  }
}

// Calls visit(x, g, row, column, channel) for every vector of `rows`; g is the gradient where the ReLU passed.
template <typename Visit>
HWY_INLINE void visit_gradient(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                               RowRange rows, const Visit& visit) {
  const bool whole = gradient.whole.data != nullptr, pooled = gradient.pooled.data != nullptr;
  const std::size_t step = pooled ? 2 : 1;
  for (std::size_t row = rows.begin; row < rows.end; row += step) {
    for (std::size_t i = 0; i < x.width; i += step) {
      for (std::size_t c = 0; c < x.channels; c += kLanes) {
        const V scale = hn::Load(D(), rectifier.scale + c), shift = hn::Load(D(), rectifier.shift + c);
        V value[4], z[4], g[4], best = hn::Zero(D());
        for (std::size_t p = 0; p < step * step; ++p) {
          const std::size_t py = row + p / 2, px = i + p % 2;
          value[p] = hn::Load(D(), pixel_of(x, py, px) + c);
          z[p] = rectified(value[p], scale, shift);
          best = hn::Max(best, z[p]);
          g[p] = whole ? hn::Load(D(), pixel_of(gradient.whole, py, px) + c) : hn::Zero(D());
        }
        if (pooled) {
          // To the first of the largest; what remains is zero once it has been given away.
          V remains = hn::Load(D(), pixel_of(gradient.pooled, row / 2, i / 2) + c);
          for (std::size_t p = 0; p < 4; ++p) {
            const auto largest = hn::Eq(z[p], best);
            g[p] = hn::Add(g[p], hn::IfThenElseZero(largest, remains));
            remains = hn::IfThenZeroElse(largest, remains);
          }
        }
        for (std::size_t p = 0; p < step * step; ++p) {
          visit(value[p], hn::IfThenElseZero(hn::Gt(z[p], hn::Zero(D())), g[p]), row + p / 2, i + p % 2, c);
        }
      }
    }
  }
}

void gradient_moments(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                      RowRange rows, const Moments& out) {
  std::fill_n(out.sum, x.channels, 0.0F);
  std::fill_n(out.product, x.channels, 0.0F);
  visit_gradient(x, rectifier, gradient, rows, [&](V value, V g, std::size_t, std::size_t, std::size_t c) {
    const V away = hn::Sub(value, hn::Load(D(), out.centre + c));
    hn::Store(hn::Add(hn::Load(D(), out.sum + c), g), D(), out.sum + c);
    hn::Store(hn::MulAdd(g, away, hn::Load(D(), out.product + c)), D(), out.product + c);
  });
}

void norm_gradient(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                   const NormGradient& norm, RowRange rows, const Map<float>& out) {
  visit_gradient(x, rectifier, gradient, rows, [&](V value, V g, std::size_t row, std::size_t i, std::size_t c) {
    const V away = hn::Sub(value, hn::Load(D(), norm.mean + c));
    const V centred = hn::MulSub(hn::Load(D(), rectifier.scale + c), g, hn::Load(D(), norm.offset + c));
    hn::Store(hn::NegMulAdd(hn::Load(D(), norm.slope + c), away, centred), D(), pixel_of(out, row, i) + c);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::kernels {

HWY_EXPORT(moments);
HWY_EXPORT(sum_pixels);
HWY_EXPORT(rectify);
HWY_EXPORT(gradient_moments);
HWY_EXPORT(norm_gradient);

void moments(const Map<const float>& x, RowRange rows, const Moments& out) {
  HWY_DYNAMIC_DISPATCH(moments)(x, rows, out);
}

void sum_pixels(const Map<const float>& x, RowRange rows, float* out) {
  HWY_DYNAMIC_DISPATCH(sum_pixels)(x, rows, out);
}

void rectify(const Map<const float>& x, const Rectifier& rectifier, RowRange rows, const Map<float>& z,
             const Map<float>& pooled) {
  HWY_DYNAMIC_DISPATCH(rectify)(x, rectifier, rows, z, pooled);
}

void gradient_moments(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                      RowRange rows, const Moments& out) {
  HWY_DYNAMIC_DISPATCH(gradient_moments)(x, rectifier, gradient, rows, out);
}

void norm_gradient(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                   const NormGradient& norm, RowRange rows, const Map<float>& out) {
  HWY_DYNAMIC_DISPATCH(norm_gradient)(x, rectifier, gradient, norm, rows, out);
}

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
