// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::vessel {
namespace {

AcquisitionGeometry on_the_detector() {
  AcquisitionGeometry g;
  g.imager_pixel_spacing_mm = image::Spacing{0.3, 0.3};
  return g;
}

TEST(CalibrateByGeometry, TheDetectorsSpacingAloneIsNotThePatients) {
  AcquisitionGeometry g = on_the_detector();
  EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value());
  g.pixel_spacing_mm = g.imager_pixel_spacing_mm;  // a copy of it is no calibration either
  EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value());
  g.source_detector_mm = 1000;  // and half of the distances is no magnification
  const Calibration c = calibrate_by_geometry(g);
  EXPECT_EQ(c.source, CalibrationSource::kNone);
  EXPECT_FALSE(c.mm_per_px.has_value());
  EXPECT_NE(c.note.find("pixels"), std::string::npos);
}

TEST(CalibrateByGeometry, PixelSpacingOfUnknownPlaneIsNotUsed) {
  AcquisitionGeometry g;
  g.pixel_spacing_mm = image::Spacing{0.25, 0.2};
  const Calibration c = calibrate_by_geometry(g);
  EXPECT_FALSE(c.mm_per_px.has_value());
  EXPECT_NEAR(c.aspect, 1.25, 1e-12);  // the shape of a pixel is known all the same
}

TEST(CalibrateByGeometry, UsesCorrectedPixelSpacingFirst) {
  AcquisitionGeometry g = on_the_detector();
  g.magnification = 1.5;
  g.pixel_spacing_mm = image::Spacing{0.21, 0.21};  // differs from the detector's: corrected
  EXPECT_EQ(calibrate_by_geometry(g).source, CalibrationSource::kPixelSpacing);
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.21, 1e-12);
  g.pixel_spacing_mm = image::Spacing{0.3, 0.3};
  g.pixel_spacing_origin = SpacingOrigin::kFiducial;  // said to be calibrated, though equal
  EXPECT_EQ(calibrate_by_geometry(g).source, CalibrationSource::kPixelSpacing);
  EXPECT_GT(calibrate_by_geometry(g).relative_sd, 0);
}

TEST(CalibrateByGeometry, DividesTheDetectorsSpacingByTheMagnification) {
  AcquisitionGeometry g = on_the_detector();
  g.magnification = 1.5;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.2, 1e-12);
  EXPECT_EQ(calibrate_by_geometry(g).source, CalibrationSource::kMagnification);
  g.magnification.reset();
  g.source_detector_mm = 1000, g.source_patient_mm = 750;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.225, 1e-12);
  g.source_isocentre_mm = 800;  // the patient's distance goes before it
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.225, 1e-12);
  g.source_patient_mm = 1200;  // the patient behind the detector
  EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value());
  g.source_patient_mm.reset();
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.24, 1e-12);
  EXPECT_NE(calibrate_by_geometry(g).note.find("isocentre from the source"), std::string::npos);
}

TEST(CalibrateByGeometry, ARoundedCopyOfTheDetectorsSpacingIsNotThePatients) {
  AcquisitionGeometry g;
  g.imager_pixel_spacing_mm = image::Spacing{0.308, 0.308};
  for (const image::Spacing& copy : {image::Spacing{0.31, 0.31}, {0.3, 0.3}, {0.4, 0.4}, {0.2, 0.31}}) {
    g.pixel_spacing_mm = copy;
    g.magnification.reset();
    EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value()) << copy.row_mm;
    EXPECT_NE(calibrate_by_geometry(g).note.find("passed over"), std::string::npos) << calibrate_by_geometry(g).note;
    g.magnification = 1.4;
    EXPECT_EQ(calibrate_by_geometry(g).source, CalibrationSource::kMagnification) << copy.row_mm;
    EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.22, 1e-12) << copy.row_mm;
    EXPECT_NE(calibrate_by_geometry(g).note.find("passed over"), std::string::npos);
  }
  g.pixel_spacing_mm = image::Spacing{0.29, 0.29};
  EXPECT_EQ(calibrate_by_geometry(g).source, CalibrationSource::kPixelSpacing);
}

TEST(CalibrateByGeometry, AMagnificationOfOneIsNone) {
  AcquisitionGeometry g = on_the_detector();
  for (const double none : {1.0, 1.04}) {
    g.magnification = none;
    EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value()) << none;
  }
  g.magnification = 1;
  g.source_detector_mm = 1000, g.source_patient_mm = 750;  // they say what the factor does not
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.225, 1e-12);
  EXPECT_NE(calibrate_by_geometry(g).note.find("factor of 1 contradicts"), std::string::npos);
  g.source_patient_mm = 1000;  // SOD = SID
  EXPECT_FALSE(calibrate_by_geometry(g).mm_per_px.has_value());
  g.magnification = 1.5;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.2, 1e-12);
  g.source_patient_mm.reset();
  g.source_isocentre_mm = 800;  // 1.25, but of the isocentre, where the patient need not be
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.2, 1e-12);
}

TEST(CalibrateByGeometry, TheDistancesGoBeforeAFactorThatContradictsThem) {
  AcquisitionGeometry g = on_the_detector();
  g.source_detector_mm = 1000, g.source_patient_mm = 800;  // 1.25
  g.magnification = 1.2;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.25, 1e-12);
  EXPECT_EQ(calibrate_by_geometry(g).note.find("contradicts"), std::string::npos);
  g.magnification = 1.5;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.24, 1e-12);
  EXPECT_NE(calibrate_by_geometry(g).note.find("factor of 1.5 contradicts"), std::string::npos);
}

TEST(CalibrateByGeometry, AHeadersSlipLeavesPixels) {
  AcquisitionGeometry g;
  g.pixel_spacing_origin = SpacingOrigin::kFiducial;
  for (const image::Spacing& slip : {image::Spacing{5, 5}, {0.001, 0.001}, {1.8, 0.2}}) {
    g.pixel_spacing_mm = slip;
    const Calibration c = calibrate_by_geometry(g);
    EXPECT_EQ(c.source, CalibrationSource::kNone);
    EXPECT_EQ(c.aspect, 1);
    EXPECT_NE(c.note.find("not plausible"), std::string::npos) << c.note;
    EXPECT_THROW(calibrate_manually(slip), Error);  // of a user it is a mistake to be told
  }
}

TEST(CalibrateByGeometry, WarnsOfAnObliqueBeam) {
  AcquisitionGeometry g = on_the_detector();
  g.object_pixel_spacing_mm = image::Spacing{0.2, 0.2};
  g.beam_angle_deg = 30;
  EXPECT_NEAR(*calibrate_by_geometry(g).mm_per_px, 0.2, 1e-12);
  EXPECT_EQ(calibrate_by_geometry(g).note.find("doubtful"), std::string::npos);
  g.beam_angle_deg = 70;
  EXPECT_NE(calibrate_by_geometry(g).note.find("doubtful"), std::string::npos);
}

TEST(CalibrateManually, TakesSpacingsOfAngiogramsOnly) {
  const Calibration c = calibrate_manually({0.25, 0.2}, 0.03);
  EXPECT_NEAR(*c.mm_per_px, 0.2, 1e-12);
  EXPECT_NEAR(c.aspect, 1.25, 1e-12);
  EXPECT_EQ(c.relative_sd, 0.03);
  EXPECT_THROW(calibrate_manually({0, 1}), Error);
  EXPECT_THROW(calibrate_manually({0.2, 3}), Error);
  EXPECT_THROW(calibrate_manually({0.2, std::nan("")}), Error);
  EXPECT_THROW(calibrate_manually({0.2, 0.2}, -1), Error);
}

TEST(CalibrateByCatheter, KnowsWhatAFrenchIs) {
  const CatheterWidth clicked = catheter_width_between({10, 10}, {10, 20});
  EXPECT_DOUBLE_EQ(clicked.px, 10);
  const Calibration marker = calibrate_by_catheter(6, CatheterPart::kMarker, clicked);
  EXPECT_NEAR(*marker.mm_per_px, 0.2, 1e-12);
  EXPECT_NEAR(marker.relative_sd, std::hypot(0.05 * std::sqrt(2.0), 0.02), 1e-9);
  EXPECT_GT(calibrate_by_catheter(6, CatheterPart::kShaft, clicked).relative_sd, marker.relative_sd);
  // Rows twice as far apart as columns: five rows are as wide as ten columns.
  EXPECT_DOUBLE_EQ(catheter_width_between({10, 10}, {15, 10}, 2).px, 10);
  EXPECT_THROW(calibrate_by_catheter(20, CatheterPart::kShaft, clicked), Error);
  EXPECT_THROW(calibrate_by_catheter(6, CatheterPart::kShaft, {}), Error);
}

class DetectCatheterWidth : public ::testing::TestWithParam<double> {};

TEST_P(DetectCatheterWidth, FindsTheWallsOfDarkAndBrightCatheters) {
  const phantom::Tube tube =
      phantom::make_tube({.diameter_px = 9.4, .end_diameter_px = 9.4, .angle_deg = GetParam(), .length_px = 100});
  const double angle = GetParam() * 3.14159265358979 / 180;
  // Clicked a little off the axis.
  const auto on_axis = [&](double s, double off) {
    return image::PointF{63.5 + s * std::sin(angle) + off * std::cos(angle),
                         63.5 + s * std::cos(angle) - off * std::sin(angle)};
  };
  for (const float contrast : {-90.0F, 60.0F}) {
    image::ImageF grey(128, 128);
    for (int y = 0; y < 128; ++y) {
      for (int x = 0; x < 128; ++x) {
        const auto noise = static_cast<float>((y * 73 + x * 151 + y * x * 7) % 11 - 5);
        grey.at(y, x) = 150 + contrast * tube.soft.at(y, x) + noise + 0.2F * static_cast<float>(x);
      }
    }
    const CatheterWidth width = detect_catheter_width(grey, on_axis(-30, 1), on_axis(30, -1));
    EXPECT_NEAR(width.px, 9.4, 0.3) << contrast;
    EXPECT_LE(width.sd_px, 0.8);
  }
}
INSTANTIATE_TEST_SUITE_P(Angles, DetectCatheterWidth, ::testing::Values(0.0, 17.0, 45.0, 72.0, 90.0));

TEST(DetectCatheterWidthErrors, SaysWhenThereIsNone) {
  image::ImageF texture(96, 160);
  for (int y = 0; y < 96; ++y) {
    for (int x = 0; x < 160; ++x) texture.at(y, x) = static_cast<float>(150 + (y * 73 + x * 151 + y * x * 7) % 11);
  }
  EXPECT_THROW(detect_catheter_width(texture, {40, 30}, {50, 130}), Error);
  EXPECT_THROW(detect_catheter_width(image::ImageF(50, 50, 100.0F), {10, 10}, {40, 40}), Error);
  EXPECT_THROW(detect_catheter_width(image::ImageF(50, 50), {10, 10}, {10, 12}), Error);
  EXPECT_THROW(detect_catheter_width(image::ImageF(50, 50), {10, 10}, {10, 90}), Error);
}

}  // namespace
}  // namespace cmunet::vessel
