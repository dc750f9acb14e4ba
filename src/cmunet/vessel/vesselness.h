// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// How much each pixel looks like part of a dark tube on a brighter ground, at the best of several widths:
/// σ² · max(0, λ₂ − |λ₁|), the eigenvalues of the Hessian at scale σ with |λ₁| ≤ |λ₂|. In the unit of the grey values
/// and proportional to the tube's contrast, so that frames of one run compare; Frangi's measure (1998) divides that
/// out. Edges and blobs answer weakly, plains not at all. Beyond the border the image is mirrored.
/// @param sigmas_px  about half the tubes' widths
/// @throws Error kInvalidArgument without scales, or for one that is not in (0, 16] or as wide as the image.
image::ImageF tube_response(const image::ImageF& image, std::span<const double> sigmas_px);

}  // namespace cmunet::vessel
