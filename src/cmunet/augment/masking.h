// SPDX-License-Identifier: Apache-2.0
// Random patches hidden from the network, drawn for each sample on its own.
#pragma once

#include <ATen/core/Tensor.h>

#include "cmunet/base/random.h"

namespace cmunet::augment {

/// How many of the patches are masked: as many whole patches as fit into ratio · height · width pixels.
/// 127 of 196 at 224² with 16-px patches and 0.65; 166 of 256 at 256².
std::int64_t masked_patch_count(int height, int width, int patch, double ratio);

/// `masked` [n, 1, height, width] float on the CPU: 1 = hidden, 0 = visible; every sample hides another random set of
/// `masked_patch_count` patches. @throws Error kInvalidArgument unless patch divides both sides and 0 ≤ ratio < 1.
at::Tensor random_patch_mask(std::int64_t n, int height, int width, int patch, double ratio, Rng& rng);

/// Hidden pixels become 0: the mean grey of a z-scored image. There is no mask token.
at::Tensor apply_mask(const at::Tensor& images, const at::Tensor& masked);

}  // namespace cmunet::augment
