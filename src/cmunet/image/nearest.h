// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "cmunet/image/contour.h"

namespace cmunet::image {

/// A set of points that answers how far the nearest is: a k-d tree, O(log n) for a query. Queries may run in parallel.
class NearestPoints {
 public:
  explicit NearestPoints(std::vector<PointF> points);

  /// Exact Euclidean distance in pixels; infinity when there are no points.
  double distance_px(const PointF& query) const;

 private:
  void split(std::size_t first, std::size_t last, bool by_x);
  void search(std::size_t first, std::size_t last, bool by_x, const PointF& query, double& best_squared) const;

  std::vector<PointF> points_;  // the middle of each range parts it by y, its halves by x, and so on
};

}  // namespace cmunet::image
