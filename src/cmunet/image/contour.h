// SPDX-License-Identifier: Apache-2.0
// Iso-contours by marching squares, at sub-pixel positions. Nothing is drawn along the image border: where a shape
// leaves the image its contour is open, as with scikit-image's find_contours.
#pragma once

#include <vector>

#include "cmunet/image/image.h"

namespace cmunet::image {

/// A position in pixels; pixel centres are at whole numbers.
struct PointF {
  double y = 0;
  double x = 0;
  bool operator==(const PointF&) const = default;
};

/// The lines along which the image, interpolated linearly between 4-neighbours, equals `level`; values above `level`
/// lie to the right of the line as it is followed on a screen. A closed contour ends with the point that it began with.
/// Open contours come first, each kind in the order of its first point, row by row. At a saddle the high corners stay
/// apart, as scikit-image's default has it. There is no contour through a 2×2 square that holds a NaN.
/// Source: Lorensen & Cline 1987, in two dimensions.
std::vector<std::vector<PointF>> find_contours(const ImageF& image, double level = 0.5);
std::vector<std::vector<PointF>> find_contours(const Mask& mask, double level = 0.5);

/// All points of `find_contours(mask)`, each once, row by row: the midpoint between every two 4-neighbours of which one
/// is vessel (also in an image of one row or column, where there is no 2×2 square). Empty for a mask of one value.
std::vector<PointF> contour_points(const Mask& mask);

}  // namespace cmunet::image
