// SPDX-License-Identifier: Apache-2.0
// How much every pixel looks like a contrast-filled artery: Frangi's filter for dark lines, for a whole batch at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace cmunet::augment {

/// Vesselness in [0, 1] (Frangi et al., MICCAI 1998) of dark lines, the largest over the scales: with the Hessian's
/// eigenvalues |λ1| ≤ |λ2|, exp(−(λ1/λ2)²/(2β²))·(1 − exp(−(λ1² + λ2²)/(2c²))) where λ2 > 0, else 0; β = 0.5, c half
/// the largest norm of a Hessian in the image.
/// @param images    [N, 1, H, W] float
/// @param sigmas_px widths of the Gaussian; a line answers most to about half its own width
/// @throws Error kInvalidArgument for no scale, one outside (0, 16], or one too large for the images.
at::Tensor vesselness(const at::Tensor& images, const std::vector<double>& sigmas_px);

}  // namespace cmunet::augment
