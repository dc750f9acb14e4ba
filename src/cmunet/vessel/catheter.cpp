// SPDX-License-Identifier: Apache-2.0
// A catheter's width from the grey values across it.
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "cmunet/vessel/bilinear.h"
#include "cmunet/vessel/calibration.h"
#include "cmunet/vessel/median.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

constexpr double kSpacing_px = 0.5;    // between cuts
constexpr double kStep_px = 0.25;      // along a cut
constexpr int kReach = 80;             // steps to either side: catheters are narrower than 40 px
constexpr std::size_t kEdgeReach = 6;  // steps to either side that belong to an edge
constexpr int kAverage = 3;            // cuts to either side that a profile is averaged over, against noise
constexpr double kMinSd_px = 0.25;
constexpr double kMadToSd = 1.4826;
constexpr double kMaxScatter = 0.2;  // of the width: cuts that disagree more have found something else than one tube

// Grey values at steps −kReach … kReach across the line, one row per cut.
std::vector<std::vector<double>> profiles(const image::ImageF& grey, const PointF& from, const PointF& to,
                                          double aspect) {
  const double dy = (to.y - from.y) * aspect, dx = to.x - from.x, length = std::hypot(dy, dx);
  const PointF along{dy / length / aspect, dx / length}, across{dx / length / aspect, -dy / length};
  std::vector<std::vector<double>> rows;
  for (double s = 0; s <= length; s += kSpacing_px) {
    std::vector<double>& row = rows.emplace_back();
    for (int k = -kReach; k <= kReach; ++k) {
      const double t = k * kStep_px;
      row.push_back(bilinear_at(grey, {from.y + s * along.y + t * across.y, from.x + s * along.x + t * across.x}));
    }
  }
  return rows;
}

std::vector<double> averaged(const std::vector<std::vector<double>>& rows, std::size_t i) {
  const std::size_t first = i < kAverage ? 0 : i - kAverage, last = std::min(rows.size() - 1, i + kAverage);
  std::vector<double> mean(rows[i].size());
  for (std::size_t r = first; r <= last; ++r) {
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += rows[r][k] / static_cast<double>(last - first + 1);
  }
  return mean;
}

// Grey step across 1 px, centred at profile[k].
double slope_at(const std::vector<double>& profile, std::size_t k) { return profile[k + 2] - profile[k - 2]; }

// Where the profile rises (sign 1) or falls (−1) most steeply within [first, last]: the centre of mass of the slope
// around its peak, which pixels and blur leave in place.
std::optional<double> steepest(const std::vector<double>& profile, std::size_t first, std::size_t last, double sign) {
  std::size_t best = first;
  for (std::size_t k = first; k <= last; ++k) {
    if (sign * slope_at(profile, k) > sign * slope_at(profile, best)) best = k;
  }
  if (sign * slope_at(profile, best) <= 0 || best < first + kEdgeReach || best + kEdgeReach > last) return std::nullopt;
  double sum = 0, moment = 0;
  for (std::size_t k = best - kEdgeReach; k <= best + kEdgeReach; ++k) {
    const double weight = std::max(0.0, sign * slope_at(profile, k));
    sum += weight;
    moment += weight * static_cast<double>(k);
  }
  return moment / sum;
}

// The distance of the two walls of a catheter darker (sign 1) or brighter (−1) than its surroundings, and how steep
// they are together.
struct Walls {
  double width_px = 0, contrast = 0;
};
std::optional<Walls> find_walls(const std::vector<double>& profile, double sign) {
  const auto middle = static_cast<std::size_t>(kReach);
  const auto left = steepest(profile, 3, middle, -sign), right = steepest(profile, middle, profile.size() - 4, sign);
  if (!left || !right) return std::nullopt;
  const auto height = [&](double k) { return std::abs(slope_at(profile, static_cast<std::size_t>(std::lround(k)))); };
  return Walls{(*right - *left) * kStep_px, height(*left) + height(*right)};
}

}  // namespace

CatheterWidth detect_catheter_width(const image::ImageF& grey, const PointF& from, const PointF& to, double aspect) {
  const auto is_inside = [&](const PointF& p) {
    return p.y >= 0 && p.x >= 0 && p.y <= grey.height() - 1 && p.x <= grey.width() - 1;
  };
  const double length = std::hypot((to.y - from.y) * aspect, to.x - from.x);
  CMUNET_CHECK(is_inside(from) && is_inside(to) && length >= 4, ErrorCode::kInvalidArgument,
               "[calibration] the catheter is marked from (", from.y, ", ", from.x, ") to (", to.y, ", ", to.x,
               "); expected two points of the picture at least 4 px apart");
  const auto rows = profiles(grey, from, to, aspect);
  double contrast[2] = {0, 0};
  std::vector<double> widths[2];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<double> profile = averaged(rows, i);
    for (const std::size_t brighter : {0U, 1U}) {
      if (const auto walls = find_walls(profile, brighter != 0 ? -1 : 1)) {
        widths[brighter].push_back(walls->width_px);
        contrast[brighter] += walls->contrast;
      }
    }
  }
  std::vector<double>& found = widths[contrast[1] > contrast[0] ? 1 : 0];
  CMUNET_CHECK(2 * found.size() >= rows.size(), ErrorCode::kUnsupported, "[calibration] only ", found.size(), " of ",
               rows.size(), " cuts across the catheter show two walls; click on its two walls instead");
  const double width = median(found);
  for (double& w : found) w = std::abs(w - width);
  const double sd_px = kMadToSd * median(found);
  CMUNET_CHECK(sd_px <= kMaxScatter * width, ErrorCode::kUnsupported, "[calibration] cuts across the catheter find ",
               width, " ± ", sd_px, " px; walls of one catheter are equally far apart. Click on its two walls instead");
  return {width, std::max(kMinSd_px, sd_px)};
}

}  // namespace cmunet::vessel
