// SPDX-License-Identifier: Apache-2.0
// The losses of the paper. All return a scalar with a gradient with respect to the first argument. When several
// processes share a batch, the scalar is that of the whole batch (communicator.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string_view>
#include <utility>

namespace cmunet::nn {

/// Soft Dice loss on the vessel probability, pooled over the whole batch: 1 − (2·Σ p·t + ε) / (Σ p + Σ t + ε).
/// The probability is not thresholded, so it has a gradient (the reference code thresholds it and has none).
/// @param prob    [N, H, W] float in [0, 1]
/// @param target  [N, H, W] any dtype, 0 or 1
/// @param epsilon 1e-5 as in the reference; both empty gives 0
at::Tensor soft_dice_loss(const at::Tensor& prob, const at::Tensor& target, double epsilon = 1e-5);

/// L = soft Dice(softmax(logits)[:, 1]) + lambda_ce · cross-entropy (Eq. 4), mean over pixels.
/// @param logits  [N, 2, H, W] float; channel 1 is vessel
/// @param target  [N, H, W] 0 or 1
struct SegmentationLoss {
  at::Tensor total;
  at::Tensor dice;           ///< detached
  at::Tensor cross_entropy;  ///< detached
};
SegmentationLoss segmentation_loss(const at::Tensor& logits, const at::Tensor& target, double lambda_ce = 1.0);

/// Mean squared error over all values of two tensors of one shape.
at::Tensor mse(const at::Tensor& pred, const at::Tensor& target);

/// Mean squared error over masked pixels (Eq. 1): Σ masked·(pred − target)² / Σ masked.
/// @param pred, target  [N, 1, H, W] float
/// @param masked        [N, 1, H, W] float, 1 = hidden from the network, 0 = visible
/// With nothing masked the result is 0.
at::Tensor masked_mse(const at::Tensor& pred, const at::Tensor& target, const at::Tensor& masked);

/// InfoNCE with in-batch negatives (Eq. 2), one direction: cross-entropy of p·kᵀ/temperature with the diagonal as
/// the positive, mean over the batch. Both inputs are L2-normalised here.
/// @param p  [N, D] predictions (gradient)
/// @param k  [M, D] keys, M ≥ N, row i the positive of p's row i; keys of all processes are negatives
/// Identical unit vectors everywhere give ln M.
at::Tensor info_nce(const at::Tensor& p, const at::Tensor& k, double temperature);

/// What the reconstruction is compared with.
enum class TargetNorm {
  kNone,   ///< the image itself (Eq. 1); reconstructions stay viewable
  kPatch,  ///< every patch minus its mean, over its standard deviation (MAE, CMAE)
  kRow,    ///< every image row of W pixels (what the reference code does)
};

/// Names of the target normalisations, for config files.
std::span<const std::pair<std::string_view, TargetNorm>> target_norm_names();

/// (x − mean) / √(var + 1e-6) over patches or rows, unbiased variance. @param images [N, 1, H, W].
at::Tensor normalise_target(const at::Tensor& images, TargetNorm norm, int patch_size);

}  // namespace cmunet::nn
