// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/adamw.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cmunet/kernels/adamw.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, once per instruction set.
#include "cmunet/kernels/simd.inc"

HWY_BEFORE_NAMESPACE();
namespace cmunet::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE void step_vector(const AdamwFactors& f, const AdamwSlice& at) {
  const V g = hn::LoadU(D(), at.gradient), m0 = hn::LoadU(D(), at.m);
  const V m = hn::MulAdd(constant(f.gradient_share), hn::Sub(g, m0), m0);
  const V v = hn::MulAdd(constant(f.square_share), hn::Mul(g, g), hn::Mul(constant(f.beta2), hn::LoadU(D(), at.v)));
  const V root = hn::MulAdd(constant(f.root_scale), hn::Sqrt(v), constant(f.epsilon));
  const V kept = hn::Mul(constant(f.keep), hn::LoadU(D(), at.weight));
  hn::StoreU(m, D(), at.m);
  hn::StoreU(v, D(), at.v);
  hn::StoreU(hn::NegMulAdd(constant(f.step_size), hn::Div(m, root), kept), D(), at.weight);
}

void adamw_step(const AdamwFactors& factors, const AdamwSlice& slice, std::size_t count) {
  const std::size_t whole = count / kLanes * kLanes, rest = count - whole;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    step_vector(factors, {slice.weight + i, slice.gradient + i, slice.m + i, slice.v + i});
  }
  if (rest == 0) return;
  float weight[kLanes] = {}, gradient[kLanes] = {}, m[kLanes] = {}, v[kLanes] = {};
  std::copy_n(slice.weight + whole, rest, weight);
  std::copy_n(slice.gradient + whole, rest, gradient);
  std::copy_n(slice.m + whole, rest, m);
  std::copy_n(slice.v + whole, rest, v);
  step_vector(factors, {weight, gradient, m, v});
  std::copy_n(weight, rest, slice.weight + whole);
  std::copy_n(m, rest, slice.m + whole);
  std::copy_n(v, rest, slice.v + whole);
}

}  // namespace HWY_NAMESPACE
}  // namespace cmunet::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cmunet::kernels {

HWY_EXPORT(adamw_step);

void adamw_step(const AdamwFactors& factors, const AdamwSlice& slice, std::size_t count) {
  HWY_DYNAMIC_DISPATCH(adamw_step)(factors, slice, count);
}

}  // namespace cmunet::kernels
#endif  // HWY_ONCE
