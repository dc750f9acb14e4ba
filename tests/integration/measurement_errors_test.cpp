// SPDX-License-Identifier: Apache-2.0
// What `cmunet measure --accuracy` says of errors, on intervals that can be checked by hand.
#include "cmunet/cli/measurement_errors.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cmunet::cli {
namespace {

const vessel::Calibration kHalf_mm = vessel::calibrate_manually({0.5, 0.5});

// In millimetres 10 [8, 10.5] of 9, 4 [3.5, 5.5] of 9 and 15 [12, 20] of 11.5: one holds its truth, one lies below it,
// one above.
MeasurementErrors three_lengths() {
  MeasurementErrors errors;
  errors.add(vessel::Interval{20, 16, 21}, 9, kHalf_mm);
  errors.add(vessel::Interval{8, 7, 11}, 9, kHalf_mm);
  errors.add(vessel::Interval{30, 24, 40}, 11.5, kHalf_mm);
  return errors;
}

TEST(MeasurementErrors, OfThreeLengths) {
  const MeasurementErrors errors = three_lengths();  // 1, −5 and 3.5
  EXPECT_EQ(errors.n(), 3);
  EXPECT_DOUBLE_EQ(errors.bias(), -0.5 / 3);
  EXPECT_DOUBLE_EQ(errors.sd(), std::sqrt((49 + 841 + 484) / 36.0 / 2));  // from the mean 7/6, −29/6 and 22/6
  EXPECT_DOUBLE_EQ(errors.largest(), 5);
  EXPECT_DOUBLE_EQ(errors.covered_percent(), 100.0 / 3);
  EXPECT_DOUBLE_EQ(errors.median_half_width(), 1.25);
  EXPECT_EQ(errors.text(2), "-0.17 ± 4.37");
}

TEST(MeasurementErrors, JsonHasEveryNumberUnderItsName) {
  const MeasurementErrors errors = three_lengths();
  const Json expected{{"n", 3},
                      {"not_found", 0},
                      {"bias", errors.bias()},
                      {"sd", errors.sd()},
                      {"largest", errors.largest()},
                      {"within_interval_percent", errors.covered_percent()},
                      {"median_half_width", errors.median_half_width()}};
  EXPECT_EQ(errors.json(), expected);
}

TEST(MeasurementErrors, OfADiameterAndAPercentage) {
  vessel::Sample sample;
  sample.diameter_px = 10, sample.sd_px = 1;
  MeasurementErrors diameters, percents;
  diameters.add(sample, 5.5, kHalf_mm);
  EXPECT_DOUBLE_EQ(diameters.bias(), -0.5);
  EXPECT_NEAR(diameters.median_half_width(), 1.959964 / 2, 1e-6);
  EXPECT_EQ(diameters.covered_percent(), 100);
  percents.add(vessel::Estimate{50, 10}, 72);
  EXPECT_DOUBLE_EQ(percents.bias(), -22);
  EXPECT_NEAR(percents.median_half_width(), 19.59964, 1e-5);
  EXPECT_EQ(percents.covered_percent(), 0);
}

TEST(MeasurementErrors, CountWhatWasMissedAndKeepItOutOfMeans) {
  MeasurementErrors errors = three_lengths();
  EXPECT_EQ(errors.missed_text(), "");
  errors.add_missed(), errors.add_missed();
  EXPECT_EQ(errors.missed(), 2);
  EXPECT_EQ(errors.missed_text(), "; 2 not found");
  EXPECT_EQ(errors.json()["not_found"], 2);
  EXPECT_EQ(errors.n(), 3);
  EXPECT_DOUBLE_EQ(errors.bias(), -0.5 / 3);
}

TEST(MeasurementErrors, OfNothingAreNone) {
  const MeasurementErrors none;
  EXPECT_EQ(none.text(2), "–");
  EXPECT_TRUE(std::isnan(none.median_half_width()));
  EXPECT_TRUE(std::isnan(none.covered_percent()));
}

TEST(NearestPoint, TakesRowsForAsHighAsTheyAre) {
  std::vector<phantom::CentrelinePoint> points(2);
  points[0].y = 3, points[1].x = 5;
  EXPECT_EQ(&nearest_point(points, {0, 0}, 1), points.data());
  EXPECT_EQ(&nearest_point(points, {0, 0}, 2), &points[1]);
}

}  // namespace
}  // namespace cmunet::cli
