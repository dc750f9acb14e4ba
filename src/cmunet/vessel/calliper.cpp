// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/calliper.h"

#include <algorithm>
#include <cmath>

namespace cmunet::vessel {
namespace {

using image::PointF;

constexpr double kSmooth_px = 3.0;                      // of the centre line
constexpr double kSpacing_px = 0.5;                     // between cuts
constexpr double kStep_px = 0.1;                        // along a cut
constexpr int kMaxSteps = 4096;                         // no vessel is 400 px wide
constexpr double kOutside = 0.01;                       // blurred masks below this are background
constexpr double kRise = 0.02;                          // behind a valley: another vessel begins
constexpr double kMaskWallSd_px = 0.28867513459481287;  // 1/√12: a wall lies anywhere within its pixel
constexpr double kQuartileRange = 1.3489795003921634;   // of a normal distribution, in standard deviations

// Linear between pixel centres; the nearest pixel along the border, 0 outside.
double value_at(const image::ImageF& image, double y, double x) {
  const int y0 = static_cast<int>(std::floor(y)), x0 = static_cast<int>(std::floor(x));
  if (!image.contains(y0, x0) || !image.contains(y0 + 1, x0 + 1)) {
    const int yn = static_cast<int>(std::lround(y)), xn = static_cast<int>(std::lround(x));
    return image.contains(yn, xn) ? double{image.at(yn, xn)} : 0.0;
  }
  const double fy = y - y0, fx = x - x0;
  const auto row = [&](int y_row) {
    return (1 - fx) * double{image.at(y_row, x0)} + fx * double{image.at(y_row, x0 + 1)};
  };
  return (1 - fy) * row(y0) + fy * row(y0 + 1);
}

// Works in a plane whose unit is the width of a column both ways: y there is `aspect` times the row.
class Calliper {
 public:
  Calliper(const Lumen& lumen, double aspect) : lumen_(lumen), aspect_(aspect) {}

  double distance(const PointF& a, const PointF& b) const { return std::hypot((b.y - a.y) * aspect_, b.x - a.x); }

  // Points at equal distances along a polyline.
  std::vector<PointF> resampled(std::span<const PointF> line) const {
    std::vector<PointF> result{line.front()};
    double left = kSpacing_px;
    for (std::size_t i = 1; i < line.size(); ++i) {
      PointF from = line[i - 1];
      double length = distance(from, line[i]);
      while (length >= left) {
        const double share = left / length;
        from = {from.y + share * (line[i].y - from.y), from.x + share * (line[i].x - from.x)};
        result.push_back(from);
        length -= left;
        left = kSpacing_px;
      }
      left -= length;
    }
    return result;
  }

  // Moves each point midway between the walls, where there are two.
  void centre(std::vector<PointF>& line) const {
    const std::vector<PointF> before = line;
    for (std::size_t i = 1; i + 1 < before.size(); ++i) {
      if (const Sample s = cut(before, i); is_inside_one_vessel(s)) line[i] = s.centre;
    }
  }

  Sample cut(const std::vector<PointF>& line, std::size_t i) const {
    const PointF right = across(line, i), left{-right.y, -right.x};
    const WallAt to_right = find_wall(line[i], right), to_left = find_wall(line[i], left);
    Sample s;
    s.diameter_px = to_right.distance_px + to_left.distance_px;
    s.sd_px = std::hypot(to_right.sd_px, to_left.sd_px);
    s.right = moved(line[i], right, to_right.distance_px);
    s.left = moved(line[i], left, to_left.distance_px);
    s.centre = {(s.left.y + s.right.y) / 2, (s.left.x + s.right.x) / 2};
    return s;
  }

  // The largest disc around the middle of a tube touches both walls. Where a cut runs into a side branch or along
  // another vessel, its disc is far smaller.
  bool is_inside_one_vessel(const Sample& s) const {
    const double half_px = std::hypot(s.right.y - s.left.y, s.right.x - s.left.x) / 2;
    return s.diameter_px > 0 && half_px <= 1.3 * value_at(lumen_.inscribed, s.centre.y, s.centre.x) + 1;
  }

  // At the border of the picture or of the field a wall may be the border itself.
  bool has_both_walls(const Sample& s) const { return is_well_inside(s.left) && is_well_inside(s.right); }

 private:
  struct WallAt {
    double distance_px = 0, sd_px = 0;
  };

  bool is_well_inside(const PointF& p) const {
    const int y = static_cast<int>(std::floor(p.y)), x = static_cast<int>(std::floor(p.x));
    for (const int dy : {-1, 0, 1, 2}) {
      for (const int dx : {-1, 0, 1, 2}) {
        if (!lumen_.is_seen(y + dy, x + dx)) return false;
      }
    }
    return true;
  }

  static PointF moved(const PointF& p, const PointF& direction, double way_px) {
    return {p.y + way_px * direction.y, p.x + way_px * direction.x};
  }

  // To the right of the line on a screen, at right angles to it in the plane; in image coordinates per px of way.
  PointF across(const std::vector<PointF>& line, std::size_t i) const {
    const std::size_t reach = 3;
    const PointF &a = line[i < reach ? 0 : i - reach], &b = line[std::min(line.size() - 1, i + reach)];
    const double ty = (b.y - a.y) * aspect_, tx = b.x - a.x, norm = std::hypot(ty, tx);
    return norm > 0 ? PointF{tx / norm / aspect_, -ty / norm} : PointF{0, 1};
  }

  WallAt find_wall(const PointF& centre, const PointF& direction) const {
    return lumen_.wall == Wall::kMask ? integrate(centre, direction) : find_level(centre, direction);
  }

  // Blur moves no area across the centre of a tube, so that what it takes from the inside lies outside.
  WallAt integrate(const PointF& centre, const PointF& direction) const {
    double area = 0, lowest = 1;
    for (int i = 0; i < kMaxSteps; ++i) {
      const PointF p = moved(centre, direction, (i + 0.5) * kStep_px);
      const double value = value_at(lumen_.occupancy, p.y, p.x);
      if (value < kOutside || (lowest < 0.5 && value > lowest + kRise)) break;
      lowest = std::min(lowest, value);
      area += value * kStep_px;
    }
    return {area, kMaskWallSd_px};
  }

  // Where the value first falls through each of the three levels; where it rises again another vessel begins, and
  // levels not reached by then count as reached there.
  WallAt find_level(const PointF& centre, const PointF& direction) const {
    constexpr double kLevels[3] = {0.75, 0.5, 0.25};
    double at[3] = {0, 0, 0};
    std::size_t next = 0;
    double before = value_at(lumen_.occupancy, centre.y, centre.x), lowest = before, way = 0;
    while (next < 3 && before < kLevels[next]) ++next;
    if (next > 1) return {};  // not within a vessel
    for (int i = 1; i < kMaxSteps && next < 3; ++i) {
      way = i * kStep_px;
      const PointF p = moved(centre, direction, way);
      const double value = value_at(lumen_.occupancy, p.y, p.x);
      if (lowest < 0.5 && value > lowest + kRise) break;
      for (; next < 3 && value < kLevels[next]; ++next) {
        at[next] = way - kStep_px * (kLevels[next] - value) / (before - value);
      }
      lowest = std::min(lowest, value);
      before = value;
    }
    for (; next < 3; ++next) at[next] = way;
    return {at[1], (at[2] - at[0]) / kQuartileRange};
  }

  const Lumen& lumen_;
  double aspect_;
};

// A moving Gaussian over the points. It is narrower in thin vessels, which bend more sharply than it may cut short, and
// near the ends, so that the ends stay.
std::vector<PointF> smoothed(const std::vector<PointF>& line, const Lumen& lumen) {
  const auto n = static_cast<std::ptrdiff_t>(line.size());
  std::vector<PointF> result(line.size());
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const PointF& here = line[static_cast<std::size_t>(i)];
    const double radius_px = value_at(lumen.inscribed, here.y, here.x);
    const double room_px = static_cast<double>(std::min(i, n - 1 - i)) * kSpacing_px;
    const double wanted_px = std::clamp(radius_px, 1.0, kSmooth_px);
    const double sigma = std::max(1e-3, std::min(wanted_px, room_px / 2)) / kSpacing_px;
    const auto reach = std::min<std::ptrdiff_t>(std::min(i, n - 1 - i), std::lround(3 * sigma));
    double sum = 0;
    PointF point;
    for (std::ptrdiff_t t = -reach; t <= reach; ++t) {
      const double weight = std::exp(-0.5 * static_cast<double>(t * t) / (sigma * sigma));
      point.y += weight * line[static_cast<std::size_t>(i + t)].y;
      point.x += weight * line[static_cast<std::size_t>(i + t)].x;
      sum += weight;
    }
    result[static_cast<std::size_t>(i)] = {point.y / sum, point.x / sum};
  }
  return result;
}

bool is_excluded(const PointF& p, std::span<const Exclusion> excluded) {
  return std::any_of(excluded.begin(), excluded.end(),
                     [&p](const Exclusion& e) { return std::hypot(p.y - e.centre.y, p.x - e.centre.x) < e.radius_px; });
}

}  // namespace

std::vector<PointF> centred_line(const Lumen& lumen, std::span<const PointF> line, double aspect) {
  if (line.size() < 2) return {line.begin(), line.end()};
  const Calliper calliper(lumen, aspect);
  std::vector<PointF> middle = smoothed(calliper.resampled(line), lumen);
  calliper.centre(middle);
  return smoothed(calliper.resampled(middle), lumen);
}

std::vector<Sample> measure_diameters(const Lumen& lumen, const std::vector<PointF>& line,
                                      std::span<const Exclusion> excluded, double aspect) {
  const Calliper calliper(lumen, aspect);
  std::vector<Sample> samples;
  double arc_px = 0;
  for (std::size_t i = 1; i + 1 < line.size(); ++i) {
    arc_px += calliper.distance(line[i - 1], line[i]);
    if (is_excluded(line[i], excluded)) continue;
    Sample s = calliper.cut(line, i);
    if (!calliper.is_inside_one_vessel(s) || !calliper.has_both_walls(s)) continue;
    s.arc_px = arc_px;
    samples.push_back(s);
  }
  return samples;
}

}  // namespace cmunet::vessel
