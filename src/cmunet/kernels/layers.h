// SPDX-License-Identifier: Apache-2.0
// Direct arithmetic of a network's first and last layer, where minimal filtering has nothing to gain.
#pragma once

#include <cstddef>
#include <string>

#include "cmunet/kernels/map.h"

namespace cmunet::kernels {

/// Rows of all images, counted through: image y / height, its row y % height.
struct RowRange {
  std::size_t begin = 0, end = 0;
};

/// 3×3 convolution of grey images, zero beyond their edge, plus bias.
/// @param grey     [images, height, width] of `output`, contiguous
/// @param weights  [9][channels], taps row-major
/// @param relu     with a ReLU
void first_convolution(const float* grey, const float* weights, const float* bias, bool relu, RowRange rows,
                       const Map<float>& output);

/// Its gradient with respect to the weights, from `rows` alone.
/// @param gradient  of the output
/// @param out       [9][channels], overwritten
void first_convolution_gradient(const float* grey, const Map<const float>& gradient, RowRange rows, float* out);

/// Vessel logit minus background logit of `count` pixels: bias + Σ_c x[c] · weights[c].
/// @param weights  [channels]
void logit_difference(const float* x, std::size_t pixel_stride, std::size_t channels, std::size_t count,
                      const float* weights, float bias, float* out);

/// 1 / (1 + e^−x) in place: the vessel's share of a softmax over two classes.
void logistic(float* values, std::size_t count);

/// The instruction set in use, e.g. "AVX3" (AVX-512), "AVX2", "NEON".
std::string instruction_set();

}  // namespace cmunet::kernels
