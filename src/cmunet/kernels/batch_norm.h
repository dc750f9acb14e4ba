// SPDX-License-Identifier: Apache-2.0
// Batch norm with ReLU and 2×2 max-pooling, forward and backward, each in as few passes over memory as there can be.
//
// Forward   x̂ = (x − mean) / √(variance + ε),  z = max(0, γ·x̂ + β) = max(0, scale·x + shift)
// Backward  g = ∇z where z > 0, else 0;  ∇β = Σ g,  ∇γ = Σ g·x̂,  ∇x = scale · (g − ∇β / n − x̂ · ∇γ / n)
#pragma once

#include <cstddef>

#include "cmunet/kernels/layers.h"
#include "cmunet/kernels/map.h"

namespace cmunet::kernels {

/// Where a rectified map's gradient comes from; both parts may be absent. Pooling hands it to the first largest pixel.
struct RectifiedGradient {
  Map<const float> whole;
  Map<const float> pooled;  ///< of the 2×2 maximum; rows then come in pairs
};

/// Moments of x about its first value over `rows`.
void moments(const Map<const float>& x, RowRange rows, const Moments& out);

/// z, and its 2×2 maximum when `pooled` has data: then height, width and `rows` are even.
void rectify(const Map<const float>& x, const Rectifier& rectifier, RowRange rows, const Map<float>& z,
             const Map<float>& pooled);

/// Σ g and Σ g·(x − centre) over `rows`.
/// @param out  its centre is read, not written
void gradient_moments(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                      RowRange rows, const Moments& out);

/// Per channel: ∇x = scale·g − offset − slope·(x − mean).
struct NormGradient {
  const float* mean = nullptr;
  const float* offset = nullptr;  ///< scale · ∇β / n
  const float* slope = nullptr;   ///< scale · ∇γ / (n · √(variance + ε))
};

/// ∇x over `rows`; may overwrite `gradient.whole`.
void norm_gradient(const Map<const float>& x, const Rectifier& rectifier, const RectifiedGradient& gradient,
                   const NormGradient& norm, RowRange rows, const Map<float>& out);

/// Σ x per channel over `rows`. @param out  [channels], overwritten
void sum_pixels(const Map<const float>& x, RowRange rows, float* out);

}  // namespace cmunet::kernels
