// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "cmunet/dataset/item.h"

namespace cmunet::dataset {

image::Mask rasterise(const Polygons& polygons, int height, int width) {
  image::Mask mask(height, width);
  std::vector<double> crossings;
  for (const auto& polygon : polygons) {
    for (int y = 0; y < height; ++y) {
      const double line = y + 0.5;
      crossings.clear();
      for (std::size_t i = 0; i < polygon.size(); ++i) {
        const image::PointF& a = polygon[i];
        const image::PointF& b = polygon[(i + 1) % polygon.size()];
        // Half-open in y, so that a vertex on the line is counted once.
        if ((a.y <= line) == (b.y <= line)) continue;
        crossings.push_back(a.x + (line - a.y) / (b.y - a.y) * (b.x - a.x));
      }
      std::sort(crossings.begin(), crossings.end());
      for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
        const double limit = static_cast<double>(width);
        const int first = static_cast<int>(std::ceil(std::clamp(crossings[i] - 0.5, 0.0, limit)));
        const int last = static_cast<int>(std::ceil(std::clamp(crossings[i + 1] - 0.5, 0.0, limit)));
        for (int x = first; x < last; ++x) mask.at(y, x) = 1;
      }
    }
  }
  return mask;
}

}  // namespace cmunet::dataset
