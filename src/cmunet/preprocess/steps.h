// SPDX-License-Identifier: Apache-2.0
// The single steps of the pipeline. Private to the module.
#pragma once

#include "cmunet/preprocess/pipeline.h"

namespace cmunet::preprocess {

/// Index `i` of an endless line folded back into [0, n) by half-sample symmetric reflection: -1 is 0, n is n - 1.
int reflect(int i, int n);

/// See `MaskSmoothing`. `mask` in {0, 1}.
image::Mask smooth_mask(const image::Mask& mask, MaskSmoothing smoothing);

/// Fills dark pixels in the four corner squares by Telea's fast marching method (2004). Only filled pixels change.
/// `grey` in [0, 255]; dark pixels are widened by two pixels on every side before they are filled.
image::ImageF inpaint_corners(const image::ImageF& grey, const Options& options);

/// x + amount (x - G(x)), G a Gaussian of standard deviation `radius_px` cut off at four of them, with half-sample
/// symmetric reflection at the borders. Nothing is clipped. The convention of scikit-image's unsharp_mask with
/// preserve_range.
image::ImageF unsharp_mask(const image::ImageF& grey, double radius_px, double amount);

/// See `Normalise`.
void normalise_in_place(image::ImageF& image, const Options& options);

}  // namespace cmunet::preprocess
