// SPDX-License-Identifier: Apache-2.0
#include "cmunet/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "cmunet/image/components.h"
#include "cmunet/image/contour.h"
#include "cmunet/image/nearest.h"
#include "cmunet/image/thinning.h"
#include "cmunet/vessel/diameter.h"

namespace cmunet::metrics {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double ratio(std::int64_t numerator, std::int64_t denominator) {
  return static_cast<double>(numerator) / static_cast<double>(denominator);
}

bool is_empty(const image::Mask& mask) {
  return std::all_of(mask.begin(), mask.end(), [](std::uint8_t v) { return v == 0; });
}

// Share of the skeleton that lies inside the mask.
double share_inside(const image::Mask& skeleton, const image::Mask& mask) {
  std::int64_t inside = 0, all = 0;
  for (int y = 0; y < skeleton.height(); ++y) {
    for (int x = 0; x < skeleton.width(); ++x) {
      if (skeleton.at(y, x) == 0) continue;
      ++all;
      inside += mask.at(y, x) != 0 ? 1 : 0;
    }
  }
  return all == 0 ? 0 : ratio(inside, all);
}

// The mask's iso-contour. Like scikit-image's it does not run along the image border, so a mask that is all vessel has
// none: the frame of the image stands in for it, and every mask with vessel has a boundary.
std::vector<image::PointF> boundary_points(const image::Mask& mask) {
  std::vector<image::PointF> points = image::contour_points(mask);
  if (!points.empty() || is_empty(mask)) return points;
  for (int x = 0; x < mask.width(); ++x) {
    points.push_back({-0.5, x + 0.0});
    points.push_back({mask.height() - 0.5, x + 0.0});
  }
  for (int y = 0; y < mask.height(); ++y) {
    points.push_back({y + 0.0, -0.5});
    points.push_back({y + 0.0, mask.width() - 0.5});
  }
  return points;
}

double mean_nearest_px(const std::vector<image::PointF>& points, const std::vector<image::PointF>& others) {
  const image::NearestPoints nearest(others);
  double sum = 0;
  for (const image::PointF& p : points) sum += nearest.distance_px(p);
  return sum / static_cast<double>(points.size());
}

// For each stretch of `missed`, an 8-connected piece of the centre line, the parts of the prediction that the line
// meets at its ends.
std::vector<std::set<int>> parts_at_stretches(const image::Mask& missed, const image::Mask& centreline,
                                              const image::Image<int>& part) {
  const image::Components stretches = image::connected_components(missed, 8);
  std::vector<std::set<int>> met(static_cast<std::size_t>(stretches.count));
  for (int y = 0; y < missed.height(); ++y) {
    for (int x = 0; x < missed.width(); ++x) {
      if (missed.at(y, x) == 0) continue;
      std::set<int>& parts = met[static_cast<std::size_t>(stretches.labels.at(y, x) - 1)];
      for (int v = y - 1; v <= y + 1; ++v) {
        for (int u = x - 1; u <= x + 1; ++u) {
          const bool is_end = part.contains(v, u) && centreline.at(v, u) != 0 && part.at(v, u) != 0;
          if (is_end) parts.insert(part.at(v, u));
        }
      }
    }
  }
  return met;
}

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  tp += other.tp;
  fp += other.fp;
  fn += other.fn;
  tn += other.tn;
  return *this;
}

Counts count(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "count");
  Counts counts;
  auto t = target.begin();
  for (const std::uint8_t p : pred) {
    const bool in_target = *t++ != 0;
    if (p != 0) {
      ++(in_target ? counts.tp : counts.fp);
    } else {
      ++(in_target ? counts.fn : counts.tn);
    }
  }
  return counts;
}

double dice(const Counts& c) {
  const std::int64_t sum = 2 * c.tp + c.fp + c.fn;
  return sum == 0 ? 1 : ratio(2 * c.tp, sum);
}
double dice(const image::Mask& pred, const image::Mask& target) { return dice(count(pred, target)); }

double iou(const Counts& c) {
  const std::int64_t sum = c.tp + c.fp + c.fn;
  return sum == 0 ? 1 : ratio(c.tp, sum);
}
double iou(const image::Mask& pred, const image::Mask& target) { return iou(count(pred, target)); }

double cl_dice(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "cl_dice");
  if (is_empty(pred) && is_empty(target)) return 1;
  const double precision = share_inside(image::thin(pred), target);
  const double sensitivity = share_inside(image::thin(target), pred);
  return precision + sensitivity == 0 ? 0 : 2 * precision * sensitivity / (precision + sensitivity);
}

double modified_hausdorff_px(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "modified_hausdorff");
  const std::vector<image::PointF> a = boundary_points(pred), b = boundary_points(target);
  if (a.empty() && b.empty()) return 0;
  if (a.empty() || b.empty()) return kNan;
  return std::max(mean_nearest_px(a, b), mean_nearest_px(b, a));
}

double diameter_difference_px(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "diameter_difference");
  return std::abs(vessel::mean_diameter_px(pred) - vessel::mean_diameter_px(target));
}

double breaks_per_100px(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "breaks_per_100px");
  const image::Mask centreline = image::thin(target);
  const image::Image<int> part = image::connected_components(pred, 8).labels;
  image::Mask missed = centreline;
  std::int64_t length = 0, found = 0;
  for (int y = 0; y < missed.height(); ++y) {
    for (int x = 0; x < missed.width(); ++x) {
      length += centreline.at(y, x);
      if (part.at(y, x) == 0) continue;
      found += centreline.at(y, x);
      missed.at(y, x) = 0;
    }
  }
  if (found == 0) return kNan;
  std::int64_t breaks = 0;
  for (const std::set<int>& parts : parts_at_stretches(missed, centreline, part)) {
    breaks += std::max<std::int64_t>(0, std::ssize(parts) - 1);
  }
  return 100 * ratio(breaks, length);
}

ImageMetrics measure(const image::Mask& pred, const image::Mask& target) {
  ImageMetrics m;
  m.counts = count(pred, target);
  m.dice = dice(m.counts);
  m.iou = iou(m.counts);
  m.cl_dice = cl_dice(pred, target);
  m.soft_cl_dice = soft_cl_dice(pred, target);
  m.modified_hausdorff_px = modified_hausdorff_px(pred, target);
  m.breaks_per_100px = breaks_per_100px(pred, target);
  m.pred_diameter_px = vessel::mean_diameter_px(pred);
  m.target_diameter_px = vessel::mean_diameter_px(target);
  m.diameter_difference_px = std::abs(m.pred_diameter_px - m.target_diameter_px);
  return m;
}

}  // namespace cmunet::metrics
