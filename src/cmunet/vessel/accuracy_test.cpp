// SPDX-License-Identifier: Apache-2.0
// Diameters and stenoses against tubes that are exactly known, in millimetres: the limits of
// docs/reference/measurement.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::vessel {
namespace {

using image::Spacing;
using phantom::Tube;
using phantom::tube_mm;
using phantom::TubeShape;

Measurement measured(const Tube& tube, Wall wall) {
  MeasureOptions options;
  options.calibration = calibrate_manually(*tube.mask.spacing_mm);
  return wall == Wall::kMask ? measure_vessels(tube.mask, options) : measure_vessels(tube.soft, options);
}

double truth_mm(const Tube& tube, const image::PointF& p, double aspect) {
  double nearest = 1e18, diameter_mm = 0;
  for (std::size_t i = 0; i < tube.points.size(); i += 4) {  // every half pixel
    const phantom::CentrelinePoint& q = tube.points[i];
    const double dy = (q.y - p.y) * aspect, dx = q.x - p.x, squared = dy * dy + dx * dx;
    if (squared < nearest) nearest = squared, diameter_mm = q.diameter_mm;
  }
  return diameter_mm;
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
  double stenosis_points = 2;  // largest error of a single stenosis
};
class MeasuredTubes : public ::testing::TestWithParam<Grid> {};

TEST_P(MeasuredTubes, MeetTheLimitsFromHalfAMillimetreToFive) {
  const auto& [spacing, wall, stenosis_points] = GetParam();
  for (const double diameter : {0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0}) {
    Errors errors;
    for (const double angle : {0.0, 7.0, 22.0, 45.0, 63.0}) {
      for (int phase = 0; phase < 2; ++phase) errors.add(make_tube(tube_mm(diameter, 15, angle, spacing, phase)), wall);
    }
    ASSERT_GT(errors.count(), 200U);
    EXPECT_LE(std::abs(errors.bias_mm()), 0.05 * spacing.row_mm + 0.05) << diameter << " mm";
    EXPECT_LE(errors.sd_mm(), 0.10) << diameter << " mm";
  }
}

TEST_P(MeasuredTubes, MeetTheLimitsWhenBentOrTaperedAtAnyAngle) {
  const auto& [spacing, wall, stenosis_points] = GetParam();
  for (const TubeShape& shape : {TubeShape{.bend = 0.25}, TubeShape{.taper = 0.7}}) {
    for (const double diameter : {1.0, 4.0}) {
      Errors errors;
      for (const double angle : {0.0, 30.0, 60.0, 90.0}) {
        errors.add(make_tube(tube_mm(diameter, 15, angle, spacing, 1, shape)), wall);
      }
      ASSERT_GT(errors.count(), 100U);
      EXPECT_LE(std::abs(errors.bias_mm()), 0.05 * spacing.row_mm + 0.05) << diameter << " mm, bent " << shape.bend;
      EXPECT_LE(errors.sd_mm(), 0.10) << diameter << " mm, bent " << shape.bend;
    }
  }
}

// Stenoses of 10 mm in a vessel of 3 mm. Masks know walls to a pixel, which is 5 points at 0.15 mm and 8 at 0.25 mm.
TEST_P(MeasuredTubes, StenosesAreWithinTwoPointsFromSoftEdgesAndAPixelFromMasks) {
  const auto& [spacing, wall, stenosis_points] = GetParam();
  for (const double percent : {20.0, 50.0, 80.0, 90.0}) {
    double sum = 0, n = 0;
    for (const double angle : {0.0, 30.0, 45.0, 90.0}) {
      const Measurement m = measured(make_tube(tube_mm(3, 24, angle, spacing, 1, {.stenosis_percent = percent})), wall);
      ASSERT_TRUE(m.tightest().has_value());
      const Narrowing& found = *m.segments[*m.tightest()].narrowing;
      const double error = found.against_reference(Reference::kComputed).diameter_percent.value - percent;
      EXPECT_LE(std::abs(error), stenosis_points) << percent << " % at " << angle;
      sum += error, ++n;
    }
    EXPECT_LE(std::abs(sum / n), std::max(2.0, stenosis_points / 2)) << percent << " %";
  }
}

TEST_P(MeasuredTubes, TurningThemChangesNoMeanDiameterByATenthOfAPixel) {
  const auto& [spacing, wall, stenosis_points] = GetParam();
  double lowest = 1e9, highest = 0;
  for (double angle = 0; angle <= 90; angle += 15) {
    double sum_px = 0, n = 0;
    for (int phase = 0; phase < 13; ++phase) {
      const Measurement m = measured(make_tube(tube_mm(2, 15, angle, spacing, phase)), wall);
      for (const Sample& s : m.segments.at(0).samples) sum_px += s.diameter_px, ++n;
    }
    ASSERT_GT(n, 0);
    lowest = std::min(lowest, sum_px / n), highest = std::max(highest, sum_px / n);
  }
  EXPECT_LE(highest - lowest, 0.1);
}

// A tenth of the pixels along the wall is wrong. Thinning then leads the ends of centre lines into corners.
TEST(NoisyTubes, MeetTheLimitsFromMasks) {
  Rng rng(11);
  for (const double diameter : {1.0, 3.0, 5.0}) {
    Errors errors;
    for (const double angle : {0.0, 20.0, 45.0, 70.0}) {
      Tube tube = make_tube(tube_mm(diameter, 20, angle, {0.2, 0.2}, 1));
      const image::Mask exact = tube.mask;
      for (int y = 1; y + 1 < exact.height(); ++y) {
        for (int x = 1; x + 1 < exact.width(); ++x) {
          const int around = exact.at(y - 1, x) + exact.at(y + 1, x) + exact.at(y, x - 1) + exact.at(y, x + 1);
          if (around != 4 * exact.at(y, x) && rng.bernoulli(0.1)) tube.mask.at(y, x) = exact.at(y, x) == 0 ? 1 : 0;
        }
      }
      errors.add(tube, Wall::kMask);
    }
    EXPECT_LE(std::abs(errors.bias_mm()), 0.05 * 0.2 + 0.05) << diameter << " mm";
    EXPECT_LE(errors.sd_mm(), 0.10) << diameter << " mm";
  }
}

TEST(NoisyTubes, MeetTheLimitsFromSoftEdges) {
  Rng rng(7);
  for (const double diameter : {0.5, 1.0, 3.0}) {
    Errors errors;
    for (const double angle : {0.0, 22.0, 45.0}) {
      Tube tube = make_tube(tube_mm(diameter, 15, angle, {0.2, 0.2}, 1));
      for (float& p : tube.soft) p = std::clamp(p + static_cast<float>(0.1 * rng.normal()), 0.0F, 1.0F);
      errors.add(tube, Wall::kLevel);
    }
    EXPECT_LE(std::abs(errors.bias_mm()), 0.05 * 0.2 + 0.05) << diameter << " mm";
    EXPECT_LE(errors.sd_mm(), 0.10) << diameter << " mm";
  }
}

// Straight tubes of 3 mm with a stenosis of 10 mm, of which what lies below 95 % of the diameter is the lesion.
TEST(IntervalsOfLengths, HoldTheLesionsTrueLength) {
  int n = 0, held = 0;
  for (const double percent : {30.0, 50.0, 80.0}) {
    for (const double angle : {0.0, 20.0, 45.0, 70.0}) {
      const Tube tube = make_tube(tube_mm(3, 24, angle, {0.2, 0.2}, 1, {.stenosis_percent = percent}));
      const double truth_mm = phantom::narrowed_length_mm(tube, 0.95);
      EXPECT_NEAR(truth_mm, 10 * 2 / std::numbers::pi * std::acos(std::sqrt(5 / percent)), 0.05);
      for (const Wall wall : {Wall::kMask, Wall::kLevel}) {
        const Measurement m = measured(tube, wall);
        ASSERT_TRUE(m.tightest().has_value());
        const Interval found = *in_mm(m.segments[*m.tightest()].narrowing->length_px, m.calibration);
        EXPECT_LT(found.low, found.value);
        EXPECT_LT(found.high - found.low, 6);
        ++n, held += found.low <= truth_mm && truth_mm <= found.high ? 1 : 0;
      }
    }
  }
  EXPECT_GE(held, n * 0.9);
}

TEST(IntervalsOfLengths, HoldTheWayBetweenTwoBifurcations) {
  int n = 0, held = 0;
  for (const double diameter : {2.0, 4.0}) {
    for (const double side_angle : {45.0, 90.0}) {
      for (const double angle : {0.0, 25.0, 60.0, 110.0}) {
        const image::Mask mask = phantom::branched_mask(
            {.diameter_mm = diameter, .angle_deg = angle, .side_angle_deg = side_angle, .is_one_side = angle < 50});
        MeasureOptions options;
        options.calibration = calibrate_manually(*mask.spacing_mm);
        const Measurement m = measure_vessels(mask, options);
        const auto is_between = [](const MeasuredSegment& s) {
          return s.start == VesselEnd::kContinues && s.end == VesselEnd::kContinues;
        };
        ASSERT_EQ(std::ranges::count_if(m.segments, is_between), 1);
        const Interval found = *in_mm(std::ranges::find_if(m.segments, is_between)->length_px, m.calibration);
        EXPECT_LT(found.high - found.value, diameter);
        ++n, held += found.low <= 12 && 12 <= found.high ? 1 : 0;
      }
    }
  }
  EXPECT_GE(held, n * 0.85);
}

INSTANTIATE_TEST_SUITE_P(Grids, MeasuredTubes,
                         ::testing::Values(Grid{{0.15, 0.15}, Wall::kMask, 5}, Grid{{0.2, 0.2}, Wall::kMask, 6.7},
                                           Grid{{0.25, 0.2}, Wall::kMask, 8.3}, Grid{{0.2, 0.2}, Wall::kLevel},
                                           Grid{{0.3, 0.3}, Wall::kLevel}, Grid{{0.25, 0.2}, Wall::kLevel, 3}));

}  // namespace
}  // namespace cmunet::vessel
