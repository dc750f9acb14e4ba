// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace cmunet::image {
namespace {

// Ranges this short are read from end to end: cheaper than parting them.
constexpr std::size_t kLeafSize = 8;

}  // namespace

NearestPoints::NearestPoints(std::vector<PointF> points) : points_(std::move(points)) {
  split(0, points_.size(), false);
}

double NearestPoints::distance_px(const PointF& query) const {
  double best_squared = std::numeric_limits<double>::infinity();
  search(0, points_.size(), false, query, best_squared);
  return std::sqrt(best_squared);
}

void NearestPoints::split(std::size_t first, std::size_t last, bool by_x) {
  if (last - first <= kLeafSize) return;
  const std::size_t middle = first + (last - first) / 2;
  const auto at = [this](std::size_t i) { return points_.begin() + static_cast<std::ptrdiff_t>(i); };
  std::nth_element(at(first), at(middle), at(last),
                   [by_x](const PointF& a, const PointF& b) { return by_x ? a.x < b.x : a.y < b.y; });
  split(first, middle, !by_x);
  split(middle + 1, last, !by_x);
}

void NearestPoints::search(std::size_t first, std::size_t last, bool by_x, const PointF& query,
                           double& best_squared) const {
  const auto look_at = [&](const PointF& p) {
    const double dy = query.y - p.y, dx = query.x - p.x;
    best_squared = std::min(best_squared, dy * dy + dx * dx);
  };
  if (last - first <= kLeafSize) {
    for (std::size_t i = first; i < last; ++i) look_at(points_[i]);
    return;
  }
  const std::size_t middle = first + (last - first) / 2;
  look_at(points_[middle]);
  const double beyond = by_x ? query.x - points_[middle].x : query.y - points_[middle].y;
  if (beyond < 0) {
    search(first, middle, !by_x, query, best_squared);
    if (beyond * beyond < best_squared) search(middle + 1, last, !by_x, query, best_squared);
  } else {
    search(middle + 1, last, !by_x, query, best_squared);
    if (beyond * beyond < best_squared) search(first, middle, !by_x, query, best_squared);
  }
}

}  // namespace cmunet::image
