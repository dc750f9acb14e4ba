// SPDX-License-Identifier: Apache-2.0
// Reports and pictures that other programs judge and read.
#include "cmunet/dicom/structured_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/result_test_support.h"
#include "cmunet/dicom/secondary_capture.h"

namespace cmunet::dicom {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

ArterialReport narrowed_vessel() {
  ReportedSegment segment;
  segment.left_contour = {{10, 20}, {10, 30}, {10.25, 40}};
  segment.right_contour = {{18, 20}, {17, 30}, {18, 40}};
  segment.length = {20.5, 1.5};
  segment.mean_diameter = {2.75, 0.2};
  segment.minimal_diameter = {1.5, 0.2}, segment.maximal_diameter = {3.1, 0};
  segment.lesion = ReportedLesion{ReferenceMethod::kInterpolatedLocal,
                                  {1.5, 0.1},
                                  {3.0, kUndefined},
                                  {50, 4},
                                  {75, 4},
                                  {8.5, 2},
                                  4.25,
                                  12.75,
                                  9,
                                  12.5};
  ReportedSegment plain = segment;
  plain.lesion.reset();
  plain.mean_diameter.value = kUndefined;
  return {
      3, ReportedCalibration{CalibrationMethod::kIsocentre, {0.3, 0.25}, 0.1, 0, "at the isocentre"}, {segment, plain}};
}

TEST(StructuredReport, HasNoErrorsForDciodvfy) {
  if (!has_program("dciodvfy")) GTEST_SKIP() << "dciodvfy (dicom3tools) is not installed";
  const ScratchFolder folder;
  ArterialReport report = narrowed_vessel();
  for (const CalibrationMethod method : {CalibrationMethod::kIsocentre, CalibrationMethod::kCatheter,
                                         CalibrationMethod::kPixelSpacing, CalibrationMethod::kSpacingByUser}) {
    report.calibration->method = method;
    report.calibration->catheter_french = 6;
    write_structured_report(folder / "sr.dcm", test_source(5, 64, 64), report, {.model = "coronary-small"});
    EXPECT_THAT(dciodvfy_errors(folder / "sr.dcm"), IsEmpty());
  }
  report.calibration.reset();
  write_structured_report(folder / "sr.dcm", test_source(5, 64, 64), report);
  EXPECT_THAT(dciodvfy_errors(folder / "sr.dcm"), IsEmpty());
}

TEST(StructuredReport, SaysToPydicomWhatWasMeasured) {
  if (!has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  const ScratchFolder folder;
  write_structured_report(folder / "sr.dcm", test_source(5, 64, 64), narrowed_vessel(), {.model = "coronary-small"});
  const std::string seen = run_python("read_report.py", folder / "sr.dcm");
  // Two segments; what the first says, row by row, and where its contours lie (corner of the first pixel at 0, 0).
  EXPECT_THAT(seen, HasSubstr("Quantitative Arteriography Report template 3213 patient Phantom^Tube UNVERIFIED\n"));
  EXPECT_THAT(seen, HasSubstr("  Algorithm Name = cmunet coronary-small\n"));
  EXPECT_THAT(seen, HasSubstr("  Comment = Research software, not for clinical use.\n"));
  EXPECT_THAT(seen, HasSubstr("  Comment = Proximal and distal count from where a segment's contours begin"));
  EXPECT_THAT(seen, HasSubstr("    Source of Measurement = 1.2.826.0.1.3680043.8.498.1 frame 4\n"));
  EXPECT_THAT(seen, HasSubstr("      Calibration Method = Geometric Isocenter\n"));
  EXPECT_THAT(seen, HasSubstr("      Horizontal Pixel Spacing = 0.25 mm/{pixel}\n"));
  EXPECT_THAT(seen, HasSubstr("      Vertical Pixel Spacing = 0.3 mm/{pixel}\n"));
  EXPECT_THAT(seen, HasSubstr("    Left Contour = 20.5,10.5 30.5,10.5 40.5,10.75 on Source of Measurement\n"));
  EXPECT_THAT(seen, HasSubstr("    Vessel lumen diameter = 2.75 mm\n      Derivation = Mean\n"
                              "      +/-, range of measurement uncertainty = 0.2 mm\n"));
  EXPECT_THAT(seen, HasSubstr("      Vessel lumen diameter = 1.5 mm\n        Derivation = Minimum\n"));
  EXPECT_THAT(seen, HasSubstr("      Vessel lumen diameter = 3 mm\n        Reference Method = Interpolated Local "
                              "Reference\n      Lumen Diameter Stenosis = 50 %\n"));
  EXPECT_THAT(seen, HasSubstr("      Lumen Area Stenosis = 75 %\n"));
  EXPECT_THAT(seen, HasSubstr("      Stenotic Lesion Length = 8.5 mm\n"));
  // All rows of TID 3218 are mandatory.
  EXPECT_THAT(seen,
              HasSubstr("      Position of Proximal Border = 4.25 mm\n      Position of Distal Border = 12.75 mm\n"
                        "      Site of Lumen Minimum = 9 mm\n      Site of Maximum Luminal = 12.5 mm\n"));
  EXPECT_THAT(seen, Not(HasSubstr("nan")));
}

TEST(StructuredReport, ItsCodesHaveTheirMeanings) {
  if (!has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  const ScratchFolder folder;
  ArterialReport report = narrowed_vessel();
  report.calibration->method = CalibrationMethod::kCatheter;
  for (const ReferenceMethod reference :
       {ReferenceMethod::kCurveFitted, ReferenceMethod::kInterpolatedLocal, ReferenceMethod::kMeanLocal}) {
    report.segments.front().lesion->reference_method = reference;
    write_structured_report(folder / "sr.dcm", test_source(5, 64, 64), report);
    EXPECT_THAT(run_python("check_codes.py", folder / "sr.dcm"), testing::MatchesRegex("codes: [0-9]+\n"));
  }
}

TEST(StructuredReport, WithoutCalibrationIsInPixelsAndClaimsNoTemplate) {
  if (!has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  const ScratchFolder folder;
  ArterialReport report = narrowed_vessel();
  report.calibration.reset();
  write_structured_report(folder / "sr.dcm", test_source(5, 64, 64), report);
  const std::string seen = run_python("read_report.py", folder / "sr.dcm");
  EXPECT_THAT(seen, HasSubstr("template none"));
  EXPECT_THAT(seen, HasSubstr("Comment = Not calibrated: lengths are in pixels of the image."));
  EXPECT_THAT(seen, HasSubstr("Stenotic Lesion Length = 8.5 {pixels}\n"));
  EXPECT_THAT(seen, Not(HasSubstr(" mm")));
}

TEST(StructuredReport, RefusesWhatCannotBeReported) {
  const ScratchFolder folder;
  const ResultSource source = test_source(2, 64, 64);
  ArterialReport report = narrowed_vessel();
  EXPECT_THROW(write_structured_report(folder / "sr.dcm", source, report), Error);  // frame 4 of 2
  report.frame = 0;
  report.segments.front().left_contour.resize(1);
  EXPECT_THROW(write_structured_report(folder / "sr.dcm", source, report), Error);
  report.segments.clear();
  EXPECT_THROW(write_structured_report(folder / "sr.dcm", source, report), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "sr.dcm"));
}

TEST(SecondaryCapture, HasNoErrorsForDciodvfy) {
  if (!has_program("dciodvfy")) GTEST_SKIP() << "dciodvfy (dicom3tools) is not installed";
  const ScratchFolder folder;
  write_secondary_capture(folder / "sc.dcm", test_source(2, 33, 47), 1, image::ImageRgb(33, 47, {9, 8, 7}));
  EXPECT_THAT(dciodvfy_errors(folder / "sc.dcm"), IsEmpty());
}

TEST(SecondaryCapture, HasTheColoursAndTheWarningInItsPixels) {
  if (!has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  const ScratchFolder folder;
  image::ImageRgb picture(100, 251, {9, 8, 7});
  picture.at(40, 17) = {250, 1, 2};
  write_secondary_capture(folder / "sc.dcm", test_source(2, 100, 251), 1, picture);
  const std::string seen = run_python("read_capture.py", folder / "sc.dcm");
  EXPECT_THAT(seen, HasSubstr("source 1.2.826.0.1.3680043.8.498.1 frame 2\n"));
  EXPECT_THAT(seen, HasSubstr("comment Research software, not for clinical use.\n"));
  EXPECT_THAT(seen, HasSubstr("pixel 40 17 is 250 1 2, 0 0 is 9 8 7\n"));
  EXPECT_THAT(seen, HasSubstr("\n #   #  ###  #####  "));  // the upper edge of N, O and T
}

TEST(SecondaryCapture, SaysOfAnnotationsAndPixelsWhatTheSourceSays) {
  constexpr std::uint32_t kBurnedIn = 0x00280301, kAspectRatio = 0x00280034;
  const ScratchFolder folder;
  ResultSource source = test_source(1, 32, 32);
  const auto saved = [&] {
    write_secondary_capture(folder / "sc.dcm", source, 0, image::ImageRgb(32, 32));
    return read_file(folder / "sc.dcm");
  };
  EXPECT_THAT(saved(), Not(HasSubstr(made_head(kBurnedIn, "CS", 0).substr(0, 6))));
  EXPECT_THAT(saved(), Not(HasSubstr(made_head(kAspectRatio, "IS", 0).substr(0, 6))));
  source.header.no_burned_in_annotation = true;
  EXPECT_THAT(saved(), HasSubstr(made_element(kBurnedIn, "CS", "NO")));
  source.header.no_burned_in_annotation = false, source.header.burned_in_annotation = true;
  source.header.pixel_aspect_ratio = 0.8;
  EXPECT_THAT(saved(), HasSubstr(made_element(kBurnedIn, "CS", "YES")));
  EXPECT_THAT(saved(), HasSubstr(made_element(kAspectRatio, "IS", "800\\1000")));
}

TEST(SecondaryCapture, RefusesWhatDoesNotBelong) {
  const ScratchFolder folder;
  EXPECT_THROW(write_secondary_capture(folder / "sc.dcm", test_source(1, 32, 32), 1, image::ImageRgb(32, 32)), Error);
  EXPECT_THROW(write_secondary_capture(folder / "sc.dcm", test_source(1, 32, 32), 0, image::ImageRgb(8, 32)), Error);
}

}  // namespace
}  // namespace cmunet::dicom
