// SPDX-License-Identifier: Apache-2.0
// The built program: every way in which `cmunet measure` gets from pixels to millimetres.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/made_run.h"
#include "measure_command.h"

namespace cmunet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(MeasureCommand, WithoutCalibrationEverythingIsInPixels) {
  const Outcome outcome = measure("--json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json document = parse_json(outcome.out, "stdout");
  EXPECT_EQ(document, load_json(root / "out/measurements.json"));
  EXPECT_EQ(document["format"], "cmunet-measurement");
  EXPECT_EQ(document["disclaimer"], kDisclaimer);
  EXPECT_EQ(document["height"], kHeight);
  EXPECT_EQ(document["width"], kWidth);
  EXPECT_EQ(document["calibration"]["source"], "none");
  EXPECT_TRUE(document["calibration"]["mm_per_column"].is_null());
  EXPECT_THAT(document["calibration"]["note"].get<std::string>(), HasSubstr("pixels"));
  EXPECT_EQ(document["tightest_segment"], 1);
  EXPECT_EQ(document["lesions"]["counted"], 1);
  ASSERT_EQ(document["segments"].size(), 1U);
  EXPECT_NEAR(minimal(document)["px"]["value"].get<double>(), kNarrow_px, 0.3);
  EXPECT_FALSE(minimal(document).contains("mm"));
  for (const char* reference : {"computed", "interpolated", "mean_local"}) {
    const Json& r = document["segments"][0]["narrowing"]["references"][reference];
    EXPECT_NEAR(r["reference_diameter"]["px"]["value"].get<double>(), kVessel_px, 0.3) << reference;
    EXPECT_NEAR(r["diameter_stenosis_percent"]["value"].get<double>(), 50, 3) << reference;
    EXPECT_NEAR(r["area_stenosis_percent"]["value"].get<double>(), 75, 3) << reference;
  }
  EXPECT_THAT(document.dump(), Not(HasSubstr("\"mm\"")));
  const std::string csv = read_file(root / "out/profiles.csv"), html = read_file(root / "out/report.html");
  EXPECT_THAT(csv, HasSubstr("diameter_px"));
  EXPECT_THAT(csv, Not(HasSubstr("_mm")));
  EXPECT_THAT(html, HasSubstr(kDisclaimer));
  EXPECT_THAT(html, HasSubstr("not calibrated"));
  EXPECT_THAT(measure("").out, HasSubstr(kDisclaimer));
}

TEST_F(MeasureCommand, ByASpacingThatTheUserKnows) {
  const Json exact = measured("--spacing-mm 0.25");
  EXPECT_EQ(exact["calibration"]["source"], "manual");
  EXPECT_NEAR(minimal(exact)["mm"]["value"].get<double>(), 0.25 * minimal(exact)["px"]["value"].get<double>(), 1e-9);
  EXPECT_NEAR(half_width(minimal(exact)["mm"]), 0.25 * half_width(minimal(exact)["px"]), 1e-9);
  // What the spacing is uncertain by is added to what the walls are.
  const Json uncertain = measured("--spacing-mm 0.25 --spacing-sd-percent 10");
  EXPECT_NEAR(half_width(minimal(uncertain)["mm"]),
              std::hypot(half_width(minimal(exact)["mm"]), 1.96 * 0.1 * minimal(exact)["mm"]["value"].get<double>()),
              1e-4);
  EXPECT_EQ(minimal(uncertain)["px"], minimal(exact)["px"]);
  // Rows twice as far apart: the vessel along a row is twice as wide, and as long as it was.
  const Json anisotropic = measured("--spacing-mm 0.5,0.25");
  EXPECT_NEAR(anisotropic["calibration"]["mm_per_row"].get<double>(), 0.5, 1e-12);
  EXPECT_NEAR(minimal(anisotropic)["mm"]["value"].get<double>(), kNarrow_px * 0.5, 0.15);
  EXPECT_NEAR(anisotropic["segments"][0]["length"]["mm"]["value"].get<double>(),
              exact["segments"][0]["length"]["mm"]["value"].get<double>(), 1.5);
  EXPECT_NEAR(anisotropic["mean_diameter"]["mm"].get<double>(), 2 * exact["mean_diameter"]["mm"].get<double>(), 0.4);
  EXPECT_THAT(read_file(root / "out/profiles.csv"), HasSubstr("diameter_mm"));
}

TEST_F(MeasureCommand, ByTheDetectorsSpacingAndTheMagnification) {
  const Json by_factor = measured("--imager-spacing-mm 0.3 --magnification 1.5");
  EXPECT_EQ(by_factor["calibration"]["source"], "magnification");
  EXPECT_NEAR(by_factor["calibration"]["mm_per_column"].get<double>(), 0.2, 1e-9);
  EXPECT_NEAR(by_factor["calibration"]["relative_sd"].get<double>(), 0.05, 1e-9);
  const Json by_distances = measured("--imager-spacing-mm 0.3 --sid-mm 1000 --sod-mm 750");
  EXPECT_NEAR(by_distances["calibration"]["mm_per_column"].get<double>(), 0.225, 1e-9);
  EXPECT_EQ(measure("--imager-spacing-mm 0.3").status, 2);  // sizes on the detector are none in the patient
  EXPECT_EQ(measure("--imager-spacing-mm 0.3 --sid-mm 1000").status, 2);
  EXPECT_EQ(measure("--imager-spacing-mm 0.3 --magnification 0.5").status, 2);
  EXPECT_EQ(measure("--imager-spacing-mm 0.3 --magnification 1").status, 2);  // the detector's again
  EXPECT_EQ(measure("--imager-spacing-mm 0.3 --magnification 1.5 --sod-mm 700").status, 2);
  const std::string note = by_factor["calibration"]["note"];
  EXPECT_THAT(note, HasSubstr("given by the user: Imager Pixel Spacing, magnification"));
  EXPECT_THAT(note, Not(HasSubstr("header")));  // a picture has none
}

TEST_F(MeasureCommand, EachDistanceGoesBeforeTheHeadersOfItsKind) {
  const std::vector<std::string> header{"ImagerPixelSpacing=0.3\\0.3", "DistanceSourceToDetector=1000",
                                        "DistanceSourceToPatient=750", "EstimatedRadiographicMagnificationFactor=1.33"};
  const auto calibration = [&](const char* flags) { return measured_run(header, flags)["calibration"]; };
  const auto spacing = [&](const char* flags) { return calibration(flags)["mm_per_column"].get<double>(); };
  EXPECT_NEAR(spacing("--sod-mm 500"), 0.15, 1e-9);
  EXPECT_NEAR(spacing("--sid-mm 1200"), 0.1875, 1e-9);
  EXPECT_NEAR(spacing("--sid-mm 1200 --sod-mm 600"), 0.15, 1e-9);
  EXPECT_NEAR(spacing("--magnification 2"), 0.15, 1e-9);
  EXPECT_NEAR(spacing("--imager-spacing-mm 0.4"), 0.4 / 1.33, 1e-9);
  EXPECT_THAT(calibration("--sod-mm 500")["note"].get<std::string>(),
              HasSubstr("; given by the user: source to patient"));
  EXPECT_EQ(program(concat("measure ", root / "run.dcm", " --mask ", root / "mask.png",
                           " --force --magnification 2 --sid-mm 1000 --out ", root / "out"))
                .status,
            2);
}

TEST_F(MeasureCommand, ByTheCatheterClickedOrDetected) {
  // 6 French are 2 mm.
  const Json clicked = measured("--catheter-french 6 --catheter-points 15.5,60,24.5,60 --catheter-part marker");
  EXPECT_EQ(clicked["calibration"]["source"], "catheter");
  EXPECT_NEAR(clicked["calibration"]["mm_per_column"].get<double>(), 2.0 / 9, 1e-9);
  EXPECT_NEAR(clicked["calibration"]["relative_sd"].get<double>(), std::hypot(0.5 * std::sqrt(2.0) / 9, 0.04 / 2),
              1e-6);
  const Json detected = measured("--catheter-french 6 --catheter-along 21,30,19,130 --catheter-part marker");
  EXPECT_NEAR(detected["calibration"]["mm_per_column"].get<double>(), 2.0 / 9, 0.01);
  EXPECT_THAT(detected["calibration"]["note"].get<std::string>(), HasSubstr("6 French"));
  const Json shaft = measured("--catheter-french 6 --catheter-points 15.5,60,24.5,60");
  EXPECT_GT(shaft["calibration"]["relative_sd"], clicked["calibration"]["relative_sd"]);
  EXPECT_GT(half_width(minimal(shaft)["mm"]), half_width(minimal(clicked)["mm"]));
  EXPECT_EQ(measure("--catheter-french 6").status, 2);
  EXPECT_EQ(measure("--catheter-points 15,60,24,60").status, 2);
  EXPECT_EQ(measure("--catheter-french 40 --catheter-points 15,60,24,60").status, 2);
  EXPECT_EQ(measure("--catheter-french 6 --catheter-along 85,30,90,130").status, 3);  // no catheter there
}

TEST_F(MeasureCommand, ByTheHeaderWhenItCan) {
  const Json fiducial = measured_run({"PixelSpacing=0.25\\0.25", "PixelSpacingCalibrationType=FIDUCIAL"});
  EXPECT_EQ(fiducial["calibration"]["source"], "pixel_spacing");
  EXPECT_NEAR(fiducial["calibration"]["mm_per_column"].get<double>(), 0.25, 1e-9);
  EXPECT_EQ(fiducial["source"]["frame"], 1);
  const Json isocentre =
      measured_run({"ImagerPixelSpacing=0.3\\0.3", "DistanceSourceToDetector=1000", "DistanceSourceToPatient=750"});
  EXPECT_EQ(isocentre["calibration"]["source"], "magnification");
  EXPECT_NEAR(isocentre["calibration"]["mm_per_column"].get<double>(), 0.225, 1e-9);
  const Json erm = measured_run({"ImagerPixelSpacing=0.3\\0.3", "EstimatedRadiographicMagnificationFactor=1.5"});
  EXPECT_NEAR(erm["calibration"]["mm_per_column"].get<double>(), 0.2, 1e-9);
  const Json detector = measured_run({"ImagerPixelSpacing=0.3\\0.3"});
  EXPECT_EQ(detector["calibration"]["source"], "none");
  EXPECT_FALSE(minimal(detector).contains("mm"));
  // What the user says goes first; the magnification is all that this header lacks.
  EXPECT_EQ(measured_run({"PixelSpacing=0.25\\0.25", "PixelSpacingCalibrationType=FIDUCIAL"},
                         "--spacing-mm 0.2")["calibration"]["source"],
            "manual");
  EXPECT_NEAR(measured_run({"ImagerPixelSpacing=0.3\\0.3"}, "--magnification 1.2")["calibration"]["mm_per_column"]
                  .get<double>(),
              0.25, 1e-9);
}

TEST_F(MeasureCommand, ByTheGeometryOfTheFrameThatIsMeasured) {
  dicom::MadeRun run;
  run.frames = 2, run.height = kHeight, run.width = kWidth;
  run.cell = [](int, int y, int x, int) { return grey(y, x); };
  run.attributes = {"ImagerPixelSpacing=0.3\\0.3", "DistanceSourceToPatient=750"};
  for (const int i : {0, 1}) {
    run.attributes.push_back(concat("PerFrameFunctionalGroupsSequence[", i,
                                    "].XRayGeometrySequence[0].DistanceSourceToDetector=", 1000 + 500 * i));
  }
  dicom::write_run(run, root / "run.dcm");
  for (const auto& [frame, mm] : {std::pair(1, 0.225), std::pair(2, 0.15)}) {
    const Outcome outcome = program(concat("measure ", root / "run.dcm", " --frame ", frame, " --mask ",
                                           root / "mask.png", " --force --out ", root / "out"));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const Json measured = load_json(root / "out/measurements.json");
    EXPECT_NEAR(measured["calibration"]["mm_per_column"].get<double>(), mm, 1e-9) << frame;
  }
}

}  // namespace
}  // namespace cmunet
