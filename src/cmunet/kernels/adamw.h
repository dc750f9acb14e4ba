// SPDX-License-Identifier: Apache-2.0
// The optimiser's step in one pass over memory.
#pragma once

#include <cstddef>

namespace cmunet::kernels {

/// What a step of AdamW (Loshchilov & Hutter 2019) multiplies by; each factor is one number for all weights.
struct AdamwFactors {
  float keep = 1;            ///< 1 − lr · λ, of the weight
  float gradient_share = 0;  ///< 1 − β₁
  float beta2 = 0;
  float square_share = 0;  ///< 1 − β₂
  float root_scale = 1;    ///< 1 / √(1 − β₂ᵗ)
  float epsilon = 0;
  float step_size = 0;  ///< lr / (1 − β₁ᵗ)
};

/// `count` numbers each, at any address.
struct AdamwSlice {
  float* weight = nullptr;
  const float* gradient = nullptr;
  float* m = nullptr;
  float* v = nullptr;
};

/// m += gradient_share · (g − m); v = beta2 · v + square_share · g²;
/// weight = keep · weight − step_size · m / (root_scale · √v + epsilon).
/// A number's result does not depend on where its slice begins or ends.
void adamw_step(const AdamwFactors& factors, const AdamwSlice& slice, std::size_t count);

}  // namespace cmunet::kernels
