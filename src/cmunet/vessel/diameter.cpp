// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/diameter.h"

#include <limits>
#include <utility>
#include <vector>

#include "cmunet/image/contour.h"
#include "cmunet/image/nearest.h"
#include "cmunet/image/thinning.h"

namespace cmunet::vessel {

double mean_diameter_px(const image::Mask& mask, double aspect) {
  image::Mask inner = mask;
  for (int y = 0; y < inner.height(); ++y) {
    for (int x = 0; x < inner.width(); ++x) {
      if (y == 0 || x == 0 || y + 1 == inner.height() || x + 1 == inner.width()) inner.at(y, x) = 0;
    }
  }
  std::vector<image::PointF> contour = image::contour_points(inner);
  for (image::PointF& p : contour) p.y *= aspect;
  const image::NearestPoints wall(std::move(contour));
  const image::Mask skeleton = image::thin(inner);
  double sum = 0;
  int count = 0;
  for (int y = 0; y < skeleton.height(); ++y) {
    for (int x = 0; x < skeleton.width(); ++x) {
      if (skeleton.at(y, x) == 0) continue;
      sum += wall.distance_px({y * aspect, x + 0.0});
      ++count;
    }
  }
  // With the frame cleared, whatever has a skeleton has a wall.
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : 2 * sum / count;
}

}  // namespace cmunet::vessel
