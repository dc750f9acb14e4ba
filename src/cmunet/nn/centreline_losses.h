// SPDX-License-Identifier: Apache-2.0
// Losses that look at centrelines, where a thin artery weighs as much as a thick one. Both are optional terms beside
// Dice and cross-entropy, and scalars with a gradient with respect to `prob`.
#pragma once

#include <ATen/core/Tensor.h>

namespace cmunet::nn {

/// The differentiable skeleton of clDice (Shit et al., CVPR 2021, Alg. 1): what opening by a 3×3 cross and square
/// removes from the image, from the image eroded once, twice, …, `iterations` times. Beyond the border a pixel is its
/// own neighbour. On binary images it is binary, and metrics::soft_cl_dice uses the same.
/// @param prob        [N, H, W] float in [0, 1]
/// @param iterations  at least the largest radius in pixels
at::Tensor soft_skeleton(const at::Tensor& prob, int iterations);

/// 1 − 2·P·R / (P + R), pooled over the batch, with the share P of prob's skeleton that lies in the target,
/// (Σ S(p)·t + 1) / (Σ S(p) + 1), and the share R of the target's skeleton that lies in prob.
/// @param prob    [N, H, W] float in [0, 1]
/// @param target  [N, H, W] any dtype, 0 or 1
at::Tensor soft_cl_dice_loss(const at::Tensor& prob, const at::Tensor& target, int iterations);

/// 1 − (Σ p·s + 1) / (Σ s + 1), pooled over the batch: how much of the target's centreline is missed (skeleton recall,
/// Kirchhoff et al., ECCV 2024).
/// @param prob  [N, H, W] float in [0, 1]
/// @param tube  [N, H, W] any dtype, 1 on the widened centreline of the target
at::Tensor skeleton_recall_loss(const at::Tensor& prob, const at::Tensor& tube);

}  // namespace cmunet::nn
