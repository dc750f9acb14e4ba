// SPDX-License-Identifier: Apache-2.0
// The page, the tables and the JSON document of a measurement.
#include "cmunet/report/measurement_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "cmunet/base/version.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using vessel::Measurement;

// Tubes of 10 px along the rows, narrowed to 4 in the middle.
image::Mask narrowed_tubes(int count) {
  image::Mask mask(60 * count, 160);
  for (int x = 10; x < 150; ++x) {
    const double half = std::abs(x - 80) < 12 ? 2.5 : 5;
    for (int y = 0; y < mask.height(); ++y) mask.at(y, x) = std::abs(y % 60 - 29.5) < half ? 1 : 0;
  }
  return mask;
}
image::Mask narrowed_tube() { return narrowed_tubes(1); }

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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
    std::string html = measurement_html(measured(calibrated), page());
    EXPECT_EQ(WellFormed::problem_of(html), "");
    EXPECT_NE(html.find(kDisclaimer), std::string::npos);
    EXPECT_NE(html.find("a &lt;tube&gt; &amp; more"), std::string::npos);
    EXPECT_NE(html.find("Segment 1"), std::string::npos);
    // The name of SVG is an address that nothing is loaded from.
    const std::string svg = "http://www.w3.org/2000/svg";
    for (std::size_t at = 0; (at = html.find(svg)) != std::string::npos;) html.erase(at, svg.size());
    EXPECT_FALSE(holds(html, "http://"));
    EXPECT_FALSE(holds(html, "https://"));
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

TEST(MeasurementReport, BeginsWithALesionOrSaysThatThereIsNone) {
  Measurement m = measured(false);
  std::string html = measurement_html(m, page());
  EXPECT_TRUE(holds(html, "Tightest diameter stenosis"));
  EXPECT_TRUE(holds(html, "Tightest lesion: segment 1"));
  EXPECT_TRUE(holds(html, "Lesion length"));
  // The same in a vessel too thin for lesions, behind eight longer segments with hardly a narrowing.
  for (vessel::Stenosis& s : m.segments[0].narrowing->against) s.reference_px.value = 5;
  vessel::MeasuredSegment even = m.segments[0];
  for (vessel::Stenosis& s : even.narrowing->against) s.diameter_percent.value = 3;
  m.segments.insert(m.segments.begin(), 8, even);
  html = measurement_html(m, page());
  EXPECT_TRUE(holds(html, "Tightest narrowing (no lesion)"));
  EXPECT_TRUE(holds(html, "Tightest narrowing (no lesion): segment 9"));
  EXPECT_FALSE(holds(html, "Tightest diameter stenosis"));
  EXPECT_FALSE(holds(html, "Lesion length"));
  EXPECT_TRUE(holds(html, ">Segment 9<")) << "its curve is drawn";
  EXPECT_FALSE(holds(html, ">Segment 8<"));
}

TEST(MeasurementReport, ManyLesionsAreAllMarkedAndWhatIsNotDrawnIsCounted) {
  const Measurement m = vessel::measure_vessels(narrowed_tubes(9));
  ASSERT_EQ(m.count_lesions().lesions, 9);
  const std::string picture = vessel_picture(m, {}, {});
  for (int i = 1; i <= 9; ++i) EXPECT_TRUE(holds(picture, concat(">", i, ": "))) << i;
  MeasurementPage nine = page();
  nine.grey = {};
  const std::string html = measurement_html(m, nine);
  EXPECT_TRUE(holds(html, "The tightest 4 of 9 lesions"));
  EXPECT_TRUE(holds(html, "Curves of 8 of 9 segments with a narrowest place; lesions without: 1"));
  EXPECT_FALSE(holds(measurement_html(measured(false), page()), "lesions without"));
}

TEST(DiameterCurve, DrawsNoReferenceThatIsNotKnown) {
  Measurement m = measured(false);
  const std::string known = diameter_curve(m, 0);
  EXPECT_TRUE(holds(known, "stroke-dasharray=\"7 4\""));
  for (vessel::Stenosis& s : m.segments[0].narrowing->against) {
    s.reference_px.value = s.line.at_zero_px = s.diameter_percent.value = std::nan("");
  }
  const std::string unknown = diameter_curve(m, 0);
  EXPECT_EQ(WellFormed::problem_of(unknown), "");
  EXPECT_FALSE(holds(unknown, "stroke-dasharray=\"7 4\""));
  for (const char* bad : {"nan", "–"}) EXPECT_FALSE(holds(unknown, bad)) << bad;
}

TEST(VesselPicture, HoldsForAPictureFlatterThanACloseUp) {
  image::Mask mask(10, 512);
  for (int x = 10; x < 500; ++x) {
    const double half = std::abs(x - 250) < 12 ? 1 : 3;
    for (int y = 0; y < 10; ++y) mask.at(y, x) = std::abs(y - 4.5) < half ? 1 : 0;
  }
  const Measurement m = vessel::measure_vessels(mask);
  ASSERT_EQ(m.count_lesions().lesions, 1);
  const Window w = window_around_narrowing(m, 0);
  EXPECT_GE(w.top, 0);
  EXPECT_GE(w.left, 0);
  EXPECT_GT(w.height, 0);
  EXPECT_GT(w.width, 0);
  EXPECT_LE(w.top + w.height, 10);
  EXPECT_LE(w.left + w.width, 512);
  EXPECT_EQ(WellFormed::problem_of(vessel_picture(m, {}, {})), "");
  EXPECT_EQ(WellFormed::problem_of(lesion_picture(m, {}, 0)), "");
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
