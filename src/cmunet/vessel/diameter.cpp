// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/diameter.h"

#include <cmath>
#include <limits>

#include "cmunet/image/contour.h"
#include "cmunet/image/distance.h"
#include "cmunet/image/thinning.h"

namespace cmunet::vessel {

double mean_diameter_px(const image::Mask& mask) {
  image::Mask inner = mask;
  for (int y = 0; y < inner.height(); ++y) {
    for (int x = 0; x < inner.width(); ++x) {
      if (y == 0 || x == 0 || y + 1 == inner.height() || x + 1 == inner.width()) inner.at(y, x) = 0;
    }
  }
  // Contour points lie on half pixels: on a grid twice as fine they are pixels, and distances there are exact.
  image::Mask contour(2 * inner.height(), 2 * inner.width());
  for (const image::PointF& p : image::contour_points(inner)) {
    contour.at(static_cast<int>(2 * p.y), static_cast<int>(2 * p.x)) = 1;
  }
  const image::Image<std::int64_t> squared = image::squared_distance_to(contour);
  const image::Mask skeleton = image::thin(inner);
  double sum = 0;
  int count = 0;
  for (int y = 0; y < skeleton.height(); ++y) {
    for (int x = 0; x < skeleton.width(); ++x) {
      if (skeleton.at(y, x) == 0) continue;
      sum += std::sqrt(static_cast<double>(squared.at(2 * y, 2 * x))) / 2;
      ++count;
    }
  }
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : 2 * sum / count;
}

}  // namespace cmunet::vessel
