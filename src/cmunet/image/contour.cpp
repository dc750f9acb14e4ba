// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/contour.h"

namespace cmunet::image {

std::vector<PointF> contour_points(const Mask& mask) {
  std::vector<PointF> points;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      const bool inside = mask.at(y, x) != 0;
      if (x + 1 < mask.width() && inside != (mask.at(y, x + 1) != 0)) points.push_back({y + 0.0, x + 0.5});
      if (y + 1 < mask.height() && inside != (mask.at(y + 1, x) != 0)) points.push_back({y + 0.5, x + 0.0});
    }
  }
  return points;
}

}  // namespace cmunet::image
