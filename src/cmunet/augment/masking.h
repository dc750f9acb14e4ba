// SPDX-License-Identifier: Apache-2.0
// Random patches hidden from the network, drawn for each sample on its own.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <span>

#include "cmunet/base/random.h"

namespace cmunet::augment {

/// How many of the patches are masked: as many whole patches as fit into ratio · height · width pixels.
/// 127 of 196 at 224² with 16-px patches and 0.65; 166 of 256 at 256².
/// @throws Error kInvalidArgument unless patch divides both sides, which are positive, and 0 ≤ ratio < 1.
std::int64_t masked_patch_count(int height, int width, int patch, double ratio);

/// `masked` [N, 1, height, width] float on `device`, one for each of the N generators: 1 = hidden, 0 = visible; a
/// random set of `masked_patch_count` patches, the same on every device. @throws Error kInvalidArgument as that
/// function.
at::Tensor random_patch_mask(int height, int width, int patch, double ratio, std::span<Rng> rngs,
                             at::Device device = at::Device(at::kCPU));

/// The same number of patches, drawn one after the other with chances in proportion to `weights`.
/// @param weights  [N, patches] row by row, at least 0; patches of weight 0 are hidden only when others run out
at::Tensor weighted_patch_mask(const at::Tensor& weights, int height, int width, int patch, double ratio,
                               std::span<Rng> rngs);

/// Hidden pixels become 0: the mean grey of a z-scored image. There is no mask token. The type of `images` is kept.
at::Tensor apply_mask(const at::Tensor& images, const at::Tensor& masked);

}  // namespace cmunet::augment
