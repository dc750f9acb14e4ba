// SPDX-License-Identifier: Apache-2.0
// Matrix products of one thread, on operands that stay in its cache.
#pragma once

#include <cstddef>

#include "cmunet/kernels/map.h"

namespace cmunet::kernels {

/// What a sum of products begins with.
struct Start {
  const float* bias = nullptr;  ///< [panels · kPanel], or null for zero
  bool add = false;             ///< to what the result's memory holds; then without bias
};

/// c[r][j] = start[j] + Σ_k a[r][k] · weights[k][j].
/// @param a        [rows][depth], rows `a_stride` apart
/// @param weights  [panels][depth][kPanel]
/// @param c        [rows][panels · kPanel], rows `c_stride` apart
void multiply(const float* a, std::size_t a_stride, std::size_t rows, const float* weights, std::size_t panels,
              std::size_t depth, Start start, float* c, std::size_t c_stride);

/// Rows of floats, `stride` apart.
struct Rows {
  const float* data = nullptr;
  std::size_t stride = 0;
};

/// c[i][j] = Σ_k a[k][i] · b[k][j], added to c when `add`.
/// @param a  [depth][rows], rows a multiple of kPanel
/// @param b  [depth][columns], columns a multiple of kPanel
/// @param c  [rows][columns], rows `c_stride` apart
void multiply_transposed(Rows a, Rows b, std::size_t depth, std::size_t rows, std::size_t columns, bool add, float* c,
                         std::size_t c_stride);

}  // namespace cmunet::kernels
