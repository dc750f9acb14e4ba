// SPDX-License-Identifier: Apache-2.0
// Diameters and stenoses against tubes that are exactly known, in millimetres: the limits of
// docs/reference/measurement.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::vessel {
namespace {

using image::Spacing;
using phantom::Tube;
using phantom::TubeOptions;

// A tube in millimetres on a picture that holds it, at a sub-pixel place `phase` of 0, 1, 2 …
TubeOptions tube_mm(double diameter_mm, double length_mm, double angle_deg, const Spacing& spacing, int phase = 0) {
  const double px = spacing.col_mm, side_mm = length_mm + diameter_mm + 4;
  TubeOptions o;
  o.height = static_cast<int>(std::ceil(side_mm / spacing.row_mm));
  o.width = static_cast<int>(std::ceil(side_mm / spacing.col_mm));
  o.diameter_px = o.end_diameter_px = diameter_mm / px;
  o.length_px = length_mm / px;
  o.angle_deg = angle_deg;
  o.offset_y_px = 0.61803 * phase, o.offset_x_px = 0.41421 * phase;
  o.spacing_mm = spacing;
  return o;
}

Measurement measured(const Tube& tube, Wall wall) {
  MeasureOptions options;
  options.calibration = calibrate_manually(*tube.mask.spacing_mm);
  return wall == Wall::kMask ? measure_vessels(tube.mask, options) : measure_vessels(tube.soft, options);
}

double truth_mm(const Tube& tube, const image::PointF& p, double aspect) {
  const auto distance = [&](const phantom::CentrelinePoint& q) { return std::hypot((q.y - p.y) * aspect, q.x - p.x); };
  return std::ranges::min_element(tube.points, {}, distance)->diameter_mm;
}

// Errors of diameters, pooled.
class Errors {
 public:
  void add(const Tube& tube, Wall wall) {
    const Measurement m = measured(tube, wall);
    ASSERT_EQ(m.segments.size(), 1U);
    for (const Sample& s : m.segments[0].samples) {
      errors_mm_.push_back(s.diameter_px * *m.calibration.mm_per_px - truth_mm(tube, s.centre, m.calibration.aspect));
    }
  }
  std::size_t count() const { return errors_mm_.size(); }
  double bias_mm() const {
    double sum = 0;
    for (const double e : errors_mm_) sum += e;
    return sum / static_cast<double>(count());
  }
  double sd_mm() const {
    double sum = 0;
    for (const double e : errors_mm_) sum += (e - bias_mm()) * (e - bias_mm());
    return std::sqrt(sum / static_cast<double>(count() - 1));
  }

 private:
  std::vector<double> errors_mm_;
};

struct Grid {
  Spacing spacing;
  Wall wall;
};
class MeasuredTubes : public ::testing::TestWithParam<Grid> {};

TEST_P(MeasuredTubes, MeetTheLimitsFromHalfAMillimetreToFive) {
  const auto [spacing, wall] = GetParam();
  for (const double diameter : {0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0}) {
    Errors errors;
    for (const double angle : {0.0, 7.0, 22.0, 45.0, 63.0}) {
      for (int phase = 0; phase < 3; ++phase) errors.add(make_tube(tube_mm(diameter, 15, angle, spacing, phase)), wall);
    }
    ASSERT_GT(errors.count(), 200U);
    EXPECT_LE(std::abs(errors.bias_mm()), 0.05 * spacing.row_mm + 0.05) << diameter << " mm";
    EXPECT_LE(errors.sd_mm(), 0.10) << diameter << " mm";
  }
}

INSTANTIATE_TEST_SUITE_P(Grids, MeasuredTubes,
                         ::testing::Values(Grid{{0.15, 0.15}, Wall::kMask}, Grid{{0.2, 0.2}, Wall::kMask},
                                           Grid{{0.25, 0.2}, Wall::kMask}, Grid{{0.2, 0.2}, Wall::kLevel},
                                           Grid{{0.3, 0.3}, Wall::kLevel}, Grid{{0.25, 0.2}, Wall::kLevel}));

}  // namespace
}  // namespace cmunet::vessel
