// SPDX-License-Identifier: Apache-2.0
// From what a header says to a calibration, and from a measurement to what is reported of it.
#include "cmunet/cli/vessel_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/dataset/run_calibration.h"

namespace cmunet::cli {
namespace {

constexpr double kFirstArc_px = 7;  // of the first cross-section: those within a bifurcation are left out

// A straight vessel along x of 100 samples half a pixel apart, 8 px wide, narrowed to 4 px from `first` to `last`.
vessel::Measurement narrowed(std::size_t first, std::size_t last, const vessel::Calibration& calibration) {
  vessel::MeasuredSegment segment;
  for (std::size_t i = 0; i < 100; ++i) {
    const double x = 10 + 0.5 * static_cast<double>(i);
    const double radius = i >= first && i <= last ? 2 : 4;
    segment.samples.push_back(
        {{20, x}, {20 - radius, x}, {20 + radius, x}, kFirstArc_px + 0.5 * static_cast<double>(i), 2 * radius, 0.4});
  }
  segment.length_px = {52, 2};
  segment.mean_diameter_px = {7.5, 0.4};
  vessel::Narrowing narrowing;
  narrowing.first = first, narrowing.last = last, narrowing.sample = first + 1;
  narrowing.minimal_px = {4, 0.4};
  const double length_px = 0.5 * static_cast<double>(last - first);
  narrowing.length_px = {length_px, length_px - 2, length_px + 5};
  for (vessel::Stenosis& stenosis : narrowing.against) {
    stenosis.reference_px = {8, 0.3};
    stenosis.diameter_percent = {50, 5};
    stenosis.area_percent = {75, 5};
  }
  segment.narrowing = narrowing;
  vessel::Measurement measurement;
  measurement.calibration = calibration;
  measurement.reference = vessel::Reference::kInterpolated;
  measurement.segments = {segment};
  return measurement;
}

TEST(ArterialReport, IsInMillimetresWithBothUncertainties) {
  vessel::Calibration calibration = vessel::calibrate_manually({0.3, 0.25}, 0.05);
  const dicom::ArterialReport report = arterial_report(narrowed(40, 60, calibration), 3);
  EXPECT_EQ(report.frame, 3);
  ASSERT_TRUE(report.calibration.has_value());
  EXPECT_EQ(report.calibration->method, dicom::CalibrationMethod::kSpacingByUser);
  EXPECT_NEAR(report.calibration->mm_per_px.row_mm, 0.3, 1e-12);
  EXPECT_NEAR(report.calibration->mm_per_px.col_mm, 0.25, 1e-12);
  EXPECT_NEAR(report.calibration->relative_uncertainty, 1.96 * 0.05, 1e-5);
  ASSERT_EQ(report.segments.size(), 1U);
  const dicom::ReportedSegment& segment = report.segments[0];
  EXPECT_EQ(segment.left_contour.size(), 100U);
  EXPECT_EQ(segment.right_contour.back(), (image::PointF{24, 59.5}));
  EXPECT_NEAR(segment.length.value, 13, 1e-12);
  EXPECT_NEAR(segment.length.uncertainty, 1.96 * std::hypot(2 * 0.25, 13 * 0.05), 1e-4);
  EXPECT_NEAR(segment.minimal_diameter.value, 1, 1e-12);
  EXPECT_NEAR(segment.maximal_diameter.value, 2, 1e-12);
  ASSERT_TRUE(segment.lesion.has_value());
  EXPECT_EQ(segment.lesion->reference_method, dicom::ReferenceMethod::kInterpolatedLocal);
  EXPECT_NEAR(segment.lesion->minimal_diameter.value, 1, 1e-12);
  EXPECT_NEAR(segment.lesion->minimal_diameter.uncertainty, 1.96 * std::hypot(0.4 * 0.25, 1 * 0.05), 1e-4);
  EXPECT_NEAR(segment.lesion->reference_diameter.value, 2, 1e-12);
  EXPECT_NEAR(segment.lesion->diameter_stenosis_percent.uncertainty, 9.8, 1e-3);
  EXPECT_NEAR(segment.lesion->area_stenosis_percent.uncertainty, 9.8, 1e-3);
  EXPECT_NEAR(segment.lesion->length.value, 2.5, 1e-12);
  // The longer of its two sides.
  EXPECT_NEAR(segment.lesion->length.uncertainty, std::hypot(5 * 0.25, 1.96 * 2.5 * 0.05), 1e-4);
  EXPECT_NEAR(segment.lesion->proximal_border, 5, 1e-12);
  EXPECT_NEAR(segment.lesion->distal_border, 7.5, 1e-12);
  EXPECT_NEAR(segment.lesion->site_of_minimum, 5.125, 1e-12);
  EXPECT_GE(segment.lesion->site_of_maximum, 5 - 1e-12);
  EXPECT_LE(segment.lesion->site_of_maximum, 7.5 + 1e-12);
}

TEST(ArterialReport, RunsFromTheWideEndToTheThinOne) {
  const auto taper = [](vessel::Measurement m, double from_px, double to_px) {
    for (std::size_t i = 0; i < 100; ++i) {
      vessel::Sample& sample = m.segments[0].samples[i];
      if (i < 10 || i > 20) sample.diameter_px = from_px + (to_px - from_px) * static_cast<double>(i) / 99;
    }
    return arterial_report(m, 0).segments[0];
  };
  const vessel::Measurement measured = narrowed(10, 20, {});
  const dicom::ReportedSegment kept = taper(measured, 8, 6), turned = taper(measured, 6, 8);
  const dicom::ReportedSegment even = taper(measured, 7.8, 8);
  EXPECT_EQ(kept.left_contour.front(), measured.segments[0].samples.front().left);
  EXPECT_NEAR(kept.lesion->proximal_border, 5, 1e-12);
  EXPECT_NEAR(even.lesion->proximal_border, 5, 1e-12);
  EXPECT_EQ(turned.left_contour.front(), measured.segments[0].samples.back().right);
  EXPECT_EQ(turned.right_contour.back(), measured.segments[0].samples.front().left);
  EXPECT_NEAR(turned.lesion->proximal_border, 49.5 - 10, 1e-12);
  EXPECT_NEAR(turned.lesion->distal_border, 49.5 - 5, 1e-12);
  EXPECT_NEAR(turned.lesion->site_of_minimum, 49.5 - 5.5, 1e-12);
  EXPECT_EQ(turned.lesion->length.value, kept.lesion->length.value);
}

TEST(ArterialReport, DiametersOfASegmentHaveIntervalsAndFadingEndsNoMinimum) {
  vessel::Measurement m = narrowed(40, 60, {});
  vessel::MeasuredSegment& segment = m.segments[0];
  for (std::size_t i = 90; i < 100; ++i) segment.samples[i].diameter_px = 1;
  vessel::Narrowing fading;
  fading.first = 88, fading.last = 99, fading.sample = 99, fading.touches = vessel::VesselEnd::kFree;
  EXPECT_NEAR(arterial_report(m, 0).segments[0].minimal_diameter.value, 1, 1e-12);
  segment.excluded = {fading};
  const dicom::ReportedSegment reported = arterial_report(m, 0).segments[0];
  EXPECT_NEAR(reported.minimal_diameter.value, 4, 1e-12);
  EXPECT_NEAR(reported.minimal_diameter.uncertainty, 1.96 * 0.4, 1e-3);
  EXPECT_NEAR(reported.maximal_diameter.uncertainty, 1.96 * 0.4, 1e-3);
  fading.first = 0;  // nothing but an end: its own minimum is all there is
  segment.excluded = {fading};
  EXPECT_NEAR(arterial_report(m, 0).segments[0].minimal_diameter.value, 1, 1e-12);
}

TEST(ArterialReport, IsInPixelsWithoutCalibration) {
  const dicom::ArterialReport report = arterial_report(narrowed(40, 60, {}), 0);
  EXPECT_FALSE(report.calibration.has_value());
  EXPECT_NEAR(report.segments[0].mean_diameter.value, 7.5, 1e-12);
  EXPECT_NEAR(report.segments[0].mean_diameter.uncertainty, 1.96 * 0.4, 1e-4);
  EXPECT_NEAR(report.segments[0].lesion->length.value, 10, 1e-12);
}

TEST(ArterialReport, HandsOverLesionsOnly) {
  vessel::Measurement measurement = narrowed(40, 60, {});
  vessel::MeasuredSegment& segment = measurement.segments[0];
  EXPECT_TRUE(arterial_report(measurement, 0).segments[0].lesion.has_value());
  for (vessel::Stenosis& stenosis : segment.narrowing->against) stenosis.diameter_percent = {20, 1};
  EXPECT_FALSE(arterial_report(measurement, 0).segments[0].lesion.has_value());
  // What reaches a free end is not among the narrowings in question.
  measurement = narrowed(80, 99, {});
  measurement.segments[0].excluded = {*measurement.segments[0].narrowing};
  measurement.segments[0].excluded[0].touches = vessel::VesselEnd::kFree;
  measurement.segments[0].narrowing.reset();
  EXPECT_FALSE(arterial_report(measurement, 0).segments[0].lesion.has_value());
}

TEST(ArterialReport, LeavesOutWhatHasNoContour) {
  vessel::Measurement measurement = narrowed(40, 60, {});
  measurement.segments.emplace_back();  // a stub without samples
  EXPECT_EQ(arterial_report(measurement, 0).segments.size(), 1U);
  measurement.segments.erase(measurement.segments.begin());
  EXPECT_TRUE(arterial_report(measurement, 0).segments.empty());
}

TEST(CalibrationOf, TakesNoSizeOnTheDetectorForOneInThePatient) {
  dicom::XaHeader header;
  header.geometry.imager_pixel_spacing_mm = image::Spacing{0.4, 0.4};
  EXPECT_FALSE(dataset::calibration_of(header.geometry, 1).mm_per_px.has_value());
  header.geometry.source_detector_mm = 1200;
  header.geometry.source_patient_mm = 800;
  EXPECT_NEAR(dataset::calibration_of(header.geometry, 1).mm_per_px.value_or(0), 0.4 * 800 / 1200, 1e-12);
  header.geometry.magnification = 1.6;
  EXPECT_NEAR(dataset::calibration_of(header.geometry, 1).mm_per_px.value_or(0), 0.25, 1e-12);
}

TEST(CalibrationOf, TakesTheObjectSpacingOfEnhancedRunsAndDoubtsObliqueOnes) {
  dicom::XaHeader header;
  header.geometry.object_pixel_spacing_mm = image::Spacing{0.22, 0.22};
  header.geometry.beam_angle_deg = 30;
  const vessel::Calibration straight = dataset::calibration_of(header.geometry, 1);
  EXPECT_NEAR(straight.mm_per_px.value_or(0), 0.22, 1e-12);
  EXPECT_THAT(straight.note, testing::Not(testing::HasSubstr("doubtful")));
  header.geometry.beam_angle_deg = 65;
  EXPECT_THAT(dataset::calibration_of(header.geometry, 1).note, testing::HasSubstr("doubtful"));
}

}  // namespace
}  // namespace cmunet::cli
