// SPDX-License-Identifier: Apache-2.0
#include "cmunet/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cmunet/image/contour.h"
#include "cmunet/image/distance.h"
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

// Mean distance in pixels from the points to the nearest of the others. Both lie on half pixels, so on a grid twice as
// fine all are pixels and one exact distance transform answers every query.
double mean_nearest_px(const std::vector<image::PointF>& points, const std::vector<image::PointF>& others, int height,
                       int width) {
  image::Mask grid(2 * height, 2 * width);
  for (const image::PointF& p : others) grid.at(static_cast<int>(2 * p.y), static_cast<int>(2 * p.x)) = 1;
  const image::Image<std::int64_t> squared = image::squared_distance_to(grid);
  double sum = 0;
  for (const image::PointF& p : points) {
    sum += std::sqrt(static_cast<double>(squared.at(static_cast<int>(2 * p.y), static_cast<int>(2 * p.x)))) / 2;
  }
  return sum / static_cast<double>(points.size());
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
  if (is_empty(pred) && is_empty(target)) return 0;
  const std::vector<image::PointF> a = image::contour_points(pred), b = image::contour_points(target);
  if (a.empty() || b.empty()) return kNan;
  return std::max(mean_nearest_px(a, b, pred.height(), pred.width()),
                  mean_nearest_px(b, a, pred.height(), pred.width()));
}

double diameter_difference_px(const image::Mask& pred, const image::Mask& target) {
  image::check_same_size(pred, target, "diameter_difference");
  return std::abs(vessel::mean_diameter_px(pred) - vessel::mean_diameter_px(target));
}

ImageMetrics measure(const image::Mask& pred, const image::Mask& target) {
  ImageMetrics m;
  m.counts = count(pred, target);
  m.dice = dice(m.counts);
  m.iou = iou(m.counts);
  m.cl_dice = cl_dice(pred, target);
  m.soft_cl_dice = soft_cl_dice(pred, target);
  m.modified_hausdorff_px = modified_hausdorff_px(pred, target);
  m.pred_diameter_px = vessel::mean_diameter_px(pred);
  m.target_diameter_px = vessel::mean_diameter_px(target);
  m.diameter_difference_px = std::abs(m.pred_diameter_px - m.target_diameter_px);
  return m;
}

}  // namespace cmunet::metrics
