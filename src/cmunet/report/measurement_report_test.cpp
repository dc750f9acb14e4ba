// SPDX-License-Identifier: Apache-2.0
// The page, the tables and the JSON document of a measurement.
#include "cmunet/report/measurement_report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/version.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using vessel::Measurement;

// A tube of 10 px along the rows, narrowed to 4 in the middle.
image::Mask narrowed_tube() {
  image::Mask mask(60, 160);
  for (int x = 10; x < 150; ++x) {
    const double half = std::abs(x - 80) < 12 ? 2.5 : 5;
    for (int y = 0; y < 60; ++y) mask.at(y, x) = std::abs(y - 29.5) < half ? 1 : 0;
  }
  return mask;
}

Measurement measured(bool calibrated) {
  vessel::MeasureOptions options;
  if (calibrated) options.calibration = vessel::calibrate_manually({0.2, 0.2}, 0.02);
  return measure_vessels(narrowed_tube(), options);
}

MeasurementPage page() {
  MeasurementPage p;
  p.head.subtitle = "a <tube> & more";
  p.grey = image::Image<std::uint8_t>(60, 160, 120);
  p.source = {{"image", "tube.png"}};
  return p;
}

TEST(MeasurementReport, WithoutCalibrationThereIsNoMillimetre) {
  const Measurement m = measured(false);
  const Json json = measurement_json(m, {});
  EXPECT_TRUE(json["calibration"]["mm_per_column"].is_null());
  EXPECT_EQ(json["calibration"]["source"], "none");
  EXPECT_FALSE(json["segments"][0]["length"].contains("mm"));
  EXPECT_FALSE(json["segments"][0]["narrowing"]["minimal_diameter"].contains("mm"));
  EXPECT_EQ(to_csv(profile_table(m)).find("_mm"), std::string::npos);
  const std::string html = measurement_html(m, page());
  EXPECT_EQ(html.find(" mm<"), std::string::npos);
  EXPECT_EQ(html.find("(mm)"), std::string::npos);
  EXPECT_NE(html.find("lengths are in pixels"), std::string::npos);
}

TEST(MeasurementReport, MillimetresArePixelsTimesTheSpacing) {
  const Measurement m = measured(true);
  const Json json = measurement_json(m, {});
  const Json& minimal = json["segments"][0]["narrowing"]["minimal_diameter"];
  EXPECT_NEAR(minimal["px"]["value"].get<double>(), 4, 0.2);
  EXPECT_NEAR(minimal["mm"]["value"].get<double>(), 0.2 * minimal["px"]["value"].get<double>(), 1e-9);
  const auto half_width = [](const Json& i) { return (i["high"].get<double>() - i["low"].get<double>()) / 2; };
  // In millimetres the calibration's 2 % come on top.
  EXPECT_NEAR(half_width(minimal["mm"]),
              std::hypot(0.2 * half_width(minimal["px"]), 1.96 * 0.02 * minimal["mm"]["value"].get<double>()), 1e-3);
  const Json& computed = json["segments"][0]["narrowing"]["references"]["computed"];
  EXPECT_NEAR(computed["diameter_stenosis_percent"]["value"].get<double>(), 60, 2);
  EXPECT_NEAR(computed["area_stenosis_percent"]["value"].get<double>(), 84, 2);
  EXPECT_EQ(json["tightest_segment"], 1);
}

TEST(MeasurementReport, ThePageIsWellFormedAndSaysWhatItIs) {
  for (const bool calibrated : {false, true}) {
    const std::string html = measurement_html(measured(calibrated), page());
    EXPECT_EQ(WellFormed::problem_of(html), "");
    EXPECT_NE(html.find(kDisclaimer), std::string::npos);
    EXPECT_NE(html.find("a &lt;tube&gt; &amp; more"), std::string::npos);
    EXPECT_EQ(html.find("http://"), html.find("http://www.w3.org/2000/svg"));
    EXPECT_NE(html.find("Segment 1"), std::string::npos);
  }
}

TEST(MeasurementReport, HoldsWithoutVesselOrPicture) {
  MeasurementPage p = page();
  p.grey = {};
  const Measurement m = vessel::measure_vessels(image::Mask(40, 50));
  EXPECT_EQ(WellFormed::problem_of(measurement_html(m, p)), "");
  EXPECT_NE(measurement_text(m).find("no vessel"), std::string::npos);
  EXPECT_TRUE(measurement_json(m, {})["tightest_segment"].is_null());
  p.grey = image::Image<std::uint8_t>(10, 10);
  EXPECT_THROW(measurement_html(m, p), Error);
}

TEST(MeasurementReport, TablesHaveARowPerCrossSectionAndPerSegment) {
  const Measurement m = measured(true);
  EXPECT_EQ(profile_table(m).rows().size(), m.segments[0].samples.size());
  EXPECT_EQ(segment_table(m).rows().size(), 1U);
  EXPECT_EQ(reference_table(m, 0).rows().size(), 3U);
}

TEST(MeasurementReport, ExcludedNarrowingsAreCountedAndShown) {
  image::Mask mask = narrowed_tube();
  for (int x = 110; x < 150; ++x) {  // fades out on the right
    for (int y = 0; y < 60; ++y) mask.at(y, x) = std::abs(y - 29.5) < 5 * (150 - x) / 40.0 ? 1 : 0;
  }
  const Measurement m = vessel::measure_vessels(mask);
  const Json json = measurement_json(m, {});
  EXPECT_EQ(json["lesions"]["counted"], 1);
  EXPECT_EQ(json["lesions"]["excluded"]["free_end"], 1);
  EXPECT_EQ(json["lesions"]["excluded"]["border"], 0);
  EXPECT_EQ(json["segments"][0]["is_lesion"], true);
  ASSERT_EQ(json["segments"][0]["excluded_narrowings"].size(), 1U);
  const Json& excluded = json["segments"][0]["excluded_narrowings"][0];
  EXPECT_EQ(excluded["reason"], "free_end");
  EXPECT_GT(excluded["position"]["x"].get<double>() + json["segments"][0]["narrowing"]["position"]["x"].get<double>(),
            200);  // the lesion at 80, this one beyond 120
  const std::string csv = to_csv(profile_table(m));
  EXPECT_NE(csv.find(",lesion"), std::string::npos);
  EXPECT_NE(csv.find(",free_end"), std::string::npos);
  EXPECT_NE(measurement_text(m).find("1 at free ends"), std::string::npos);
  EXPECT_NE(measurement_html(m, page()).find("not counted: 1 at free ends"), std::string::npos);
}

TEST(VesselPicture, TheCloseUpLiesWithinThePicture) {
  const Measurement m = measured(false);
  ASSERT_TRUE(has_lesion(m.segments[0], m.reference));
  const Window w = window_around_narrowing(m, 0);
  EXPECT_GE(w.top, 0);
  EXPECT_GE(w.left, 0);
  EXPECT_LE(w.top + w.height, 60);
  EXPECT_LE(w.left + w.width, 160);
  EXPECT_LE(w.left, 80);
  EXPECT_GE(w.left + w.width, 80);
}

}  // namespace
}  // namespace cmunet::report
