// SPDX-License-Identifier: Apache-2.0
// Grey values between pixel centres.
#pragma once

#include <algorithm>

#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// Linear between pixel centres; beyond the border the image goes on as at the border. @pre the image is not empty.
inline double bilinear_at(const image::ImageF& image, const image::PointF& p) {
  const double y = std::clamp(p.y, 0.0, image.height() - 1.0), x = std::clamp(p.x, 0.0, image.width() - 1.0);
  const int y0 = static_cast<int>(y), x0 = static_cast<int>(x);
  const int y1 = std::min(y0 + 1, image.height() - 1), x1 = std::min(x0 + 1, image.width() - 1);
  const double fy = y - y0, fx = x - x0;
  return (1 - fy) * ((1 - fx) * double{image.at(y0, x0)} + fx * double{image.at(y0, x1)}) +
         fy * ((1 - fx) * double{image.at(y1, x0)} + fx * double{image.at(y1, x1)});
}

}  // namespace cmunet::vessel
