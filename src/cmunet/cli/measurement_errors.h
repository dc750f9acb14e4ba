// SPDX-License-Identifier: Apache-2.0
// Errors of measurements against a known truth, pooled.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/report/text.h"
#include "cmunet/stats/summary.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {

class MeasurementErrors {
 public:
  /// Of a diameter in millimetres; the measurement is calibrated.
  void add(const vessel::Sample& s, double truth_mm, const vessel::Calibration& calibration) {
    const vessel::Interval mm = *vessel::in_mm(vessel::Estimate{s.diameter_px, s.sd_px}, calibration);
    add(mm, truth_mm);
  }
  /// Of a length in millimetres, likewise.
  void add(const vessel::Interval& length_px, double truth_mm, const vessel::Calibration& calibration) {
    add(*vessel::in_mm(length_px, calibration), truth_mm);
  }
  /// Of a diameter stenosis, in points.
  void add(const vessel::Estimate& percent, double truth) { add(vessel::in_percent(percent), truth); }
  /// What was there to be measured and was not found is in no mean.
  void add_missed() { ++missed_; }
  std::int64_t missed() const { return missed_; }
  /// "; 3 not found", nothing where nothing was missed.
  std::string missed_text() const { return missed_ == 0 ? "" : concat("; ", missed_, " not found"); }
  double n() const { return static_cast<double>(values_.size()); }
  double bias() const {
    double sum = 0;
    for (const double v : values_) sum += v;
    return sum / n();
  }
  double sd() const {
    const double mean = bias();
    double sum = 0;
    for (const double v : values_) sum += (v - mean) * (v - mean);
    return std::sqrt(sum / (n() - 1));
  }
  double largest() const {
    double largest = 0;
    for (const double v : values_) largest = std::max(largest, std::abs(v));
    return largest;
  }
  double covered_percent() const { return 100 * covered_ / n(); }
  /// Of half the intervals: NaN where there are none.
  double median_half_width() const { return half_widths_.empty() ? std::nan("") : stats::quantile(half_widths_, 0.5); }
  std::string text(int digits) const {
    return values_.empty() ? "–"
                           : concat(report::format_fixed(bias(), digits), " ± ", report::format_fixed(sd(), digits));
  }
  Json json() const {
    return {{"n", values_.size()},
            {"not_found", missed_},
            {"bias", bias()},
            {"sd", sd()},
            {"largest", largest()},
            {"within_interval_percent", covered_percent()},
            {"median_half_width", median_half_width()}};
  }

 private:
  void add(const vessel::Interval& interval, double truth) {
    values_.push_back(interval.value - truth);
    half_widths_.push_back((interval.high - interval.low) / 2);
    covered_ += interval.low <= truth && truth <= interval.high ? 1 : 0;
  }

  std::vector<double> values_, half_widths_;
  double covered_ = 0;
  std::int64_t missed_ = 0;
};

/// The point of a true centre line that is nearest to `p`. @pre there is one.
inline const phantom::CentrelinePoint& nearest_point(const std::vector<phantom::CentrelinePoint>& points,
                                                     const image::PointF& p, double aspect) {
  const auto distance = [&](const phantom::CentrelinePoint& q) { return std::hypot((q.y - p.y) * aspect, q.x - p.x); };
  return *std::ranges::min_element(points, {}, distance);
}

}  // namespace cmunet::cli
