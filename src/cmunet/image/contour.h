// SPDX-License-Identifier: Apache-2.0
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

/// The points of the mask's iso-contours at level 0.5 (marching squares): the midpoint between every two 4-neighbours of
/// which one is vessel. Row by row, each once. There is no contour along the image border, as with scikit-image's
/// find_contours without padding.
std::vector<PointF> contour_points(const Mask& mask);

}  // namespace cmunet::image
