// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// The paper's mean artery diameter of a mask, in pixels of its grid: the outermost pixels of the image are cleared,
/// the mask is thinned, and the diameter is twice the mean distance from a skeleton pixel to the nearest point of the
/// iso-contour at 0.5 (image::contour_points). NaN when nothing lies within the cleared frame.
/// @param aspect  height of a row over the width of a column; distances are in widths of a column. The paper has 1
double mean_diameter_px(const image::Mask& mask, double aspect = 1);

}  // namespace cmunet::vessel
