// SPDX-License-Identifier: Apache-2.0
// What is measured of whole masks: which narrowings count, and intervals.
#include "cmunet/vessel/measure.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cmunet::vessel {
namespace {

MeasureOptions within(const image::Mask& field) {
  MeasureOptions options;
  options.field = field;
  return options;
}

MeasureOptions along(const image::PointF& from, const image::PointF& to) {
  MeasureOptions options;
  options.path = PathEnds{from, to};
  return options;
}

TEST(MeasureVessels, RefusesWhatIsNoMask) {
  EXPECT_THROW(measure_vessels(image::Mask()), Error);
  EXPECT_THROW(measure_vessels(image::Mask(5, 5, 255)), Error);
  EXPECT_THROW(measure_vessels(image::ImageF(5, 5, 1.5F)), Error);
  EXPECT_THROW(measure_vessels(image::Mask(5, 5), within(image::Mask(5, 6, 1))), Error);
}

// Along x from column 20 to `end`; 12 px wide, at `narrow_x` narrowed to 4 px over 20 px, fading to a point over the
// last `fading` px.
image::Mask vessel(int end, int narrow_x, int fading) {
  image::Mask mask(60, 240);
  for (int x = 20; x < end; ++x) {
    double half = std::abs(x - narrow_x) <= 10 ? 2 : 6;
    if (x > end - fading) half *= static_cast<double>(end - x) / fading;
    for (int y = 0; y < 60; ++y) mask.at(y, x) = std::abs(y - 29.5) < half ? 1 : 0;
  }
  return mask;
}

TEST(MeasureVessels, ATaperAtAFreeEndIsCountedApart) {
  const Measurement m = measure_vessels(vessel(220, 100, 40));
  ASSERT_EQ(m.segments.size(), 1U);
  ASSERT_TRUE(m.segments[0].narrowing.has_value());
  EXPECT_NEAR(m.segments[0].samples[m.segments[0].narrowing->sample].centre.x, 100, 8);
  EXPECT_NEAR(m.segments[0].narrowing->against_reference(Reference::kComputed).diameter_percent.value, 67, 4);
  const LesionCount count = m.count_lesions();
  EXPECT_EQ(count.lesions, 1);
  EXPECT_EQ(count.at_free_ends, 1);
  EXPECT_EQ(count.at_border, 0);
  EXPECT_EQ(m.tightest(), 0U);
}

TEST(MeasureVessels, WhereTheFieldEndsItIsTheBorder) {
  // Narrowed right before column 180, from which on nothing was irradiated.
  image::Mask mask = vessel(240, 172, 0), field(60, 240, 1);
  for (int y = 0; y < 60; ++y) {
    for (int x = 180; x < 240; ++x) mask.at(y, x) = field.at(y, x) = 0;
  }
  const LesionCount shuttered = measure_vessels(mask, within(field)).count_lesions();
  EXPECT_EQ(shuttered.at_border, 1);
  EXPECT_EQ(shuttered.lesions, 0);
  EXPECT_EQ(measure_vessels(mask).count_lesions().at_free_ends, 1);
}

TEST(MeasureVessels, AVesselThatLeavesThePictureAtASlantIsNotNarrowThere) {
  image::Mask mask(100, 100);
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) mask.at(y, x) = std::abs((y - 50) - 0.5 * (x - 50)) / std::hypot(1, 0.5) < 6 ? 1 : 0;
  }
  const Measurement m = measure_vessels(mask);
  ASSERT_EQ(m.segments.size(), 1U);
  EXPECT_EQ(m.segments[0].start, VesselEnd::kBorder);
  EXPECT_EQ(m.segments[0].end, VesselEnd::kBorder);
  EXPECT_GT(m.segments[0].samples.size(), 50U);
  for (const Sample& s : m.segments[0].samples) EXPECT_NEAR(s.diameter_px, 12, 0.8);
  EXPECT_EQ(m.count_lesions().lesions + m.count_lesions().at_border, 0);
}

// A smoothed centre line must not cut a bend so short that it leaves the vessel, where there is no diameter.
TEST(MeasureVessels, AThinVesselThatTurnsBackIsNotNarrowThere) {
  image::Mask mask(60, 100);
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 100; ++x) {
      const double off = x < 70 ? std::abs(std::abs(y - 30.0) - 3) : std::abs(std::hypot(y - 30, x - 70) - 3);
      mask.at(y, x) = x >= 10 && off <= 1.2 ? 1 : 0;  // two lines 6 px apart, joined by half a circle
    }
  }
  const Measurement m = measure_vessels(mask);
  ASSERT_EQ(m.segments.size(), 1U);
  EXPECT_GT(m.segments[0].samples.size(), 50U);
  for (const Sample& s : m.segments[0].samples)
    EXPECT_NEAR(s.diameter_px, 2.7, 0.7) << s.centre.y << ", " << s.centre.x;
  EXPECT_EQ(m.count_lesions().lesions, 0);
}

TEST(MeasureVessels, ANarrowingAtABifurcationIsALesion) {
  image::Mask mask = vessel(220, 106, 0);
  for (int y = 30; y < 60; ++y) {
    for (int x = 80; x < 88; ++x) mask.at(y, x) = 1;  // a branch just before the narrowed part
  }
  EXPECT_EQ(measure_vessels(mask).count_lesions().lesions, 1);
}

TEST(MeasureVessels, TheTightestIsALesionWhereThereIsOne) {
  const auto narrowed_by = [](double percent, double reference_px) {
    MeasuredSegment segment;
    for (Stenosis& s : segment.narrowing.emplace().against) {
      s.diameter_percent = {percent, 1}, s.reference_px = {reference_px, 0.3};
    }
    return segment;
  };
  Measurement m;
  EXPECT_FALSE(m.tightest().has_value());
  m.segments = {MeasuredSegment(), narrowed_by(20, 8), narrowed_by(70, 4)};  // too little; too thin a vessel
  EXPECT_EQ(m.tightest(), 2U);
  m.segments.push_back(narrowed_by(40, 8));
  m.segments.push_back(narrowed_by(50, 8));
  EXPECT_EQ(m.tightest(), 4U);
}

TEST(MeasureVessels, OnAPathTheUsersEndsAreNoFreeEnds) {
  const image::Mask mask = vessel(220, 100, 40);
  const Measurement inner = measure_vessels(mask, along({30, 40}, {30, 200}));
  EXPECT_EQ(inner.segments[0].start, VesselEnd::kContinues);
  EXPECT_EQ(inner.segments[0].end, VesselEnd::kContinues);
  const Measurement whole = measure_vessels(mask, along({30, 40}, {30, 239}));
  EXPECT_EQ(whole.segments[0].end, VesselEnd::kFree);
}

TEST(MeasureVessels, TheMeanDiameterLeavesOutAFadingEnd) {
  const MeasuredSegment fading = measure_vessels(vessel(220, 100, 40)).segments.at(0);
  ASSERT_EQ(fading.excluded.size(), 1U);
  EXPECT_NEAR(fading.mean_diameter_px.value, measure_vessels(vessel(180, 100, 0)).segments.at(0).mean_diameter_px.value,
              0.1);
  EXPECT_GT(fading.mean_diameter_px.value, mean_diameter(fading.samples).value + 0.3);
}

TEST(MeasureVessels, LengthsAreAsUncertainAsTheirEnds) {
  const image::Mask mask = vessel(220, 100, 0);
  const Estimate whole = measure_vessels(mask).segments.at(0).length_px;
  const Estimate chosen = measure_vessels(mask, along({30, 40}, {30, 200})).segments.at(0).length_px;
  EXPECT_NEAR(whole.sd, std::hypot(6, 6), 1);  // two free ends of a vessel of 12 px
  EXPECT_NEAR(chosen.value, 160, 1);
  EXPECT_DOUBLE_EQ(chosen.sd, std::hypot(0.5, 0.5));
}

TEST(IsLesion, NeedsThirtyPercentSurelyHalfOfThemAndAVesselWideEnough) {
  const auto lesion = [](double percent, double sd, VesselEnd touches = VesselEnd::kContinues, double width_px = 6) {
    Narrowing n;
    n.touches = touches;
    for (Stenosis& s : n.against) s.diameter_percent = {percent, sd}, s.reference_px = {width_px, 0.3};
    return is_lesion(n, Reference::kComputed);
  };
  EXPECT_TRUE(lesion(30, 7));
  EXPECT_FALSE(lesion(29.9, 1));
  EXPECT_FALSE(lesion(30, 8));  // from 14 % on
  EXPECT_TRUE(lesion(60, 22));
  EXPECT_FALSE(lesion(60, 1, VesselEnd::kFree));
  EXPECT_FALSE(lesion(60, 1, VesselEnd::kBorder));
  EXPECT_FALSE(lesion(60, 1, VesselEnd::kContinues, 5.4));  // of a vessel that is too thin
  EXPECT_TRUE(lesion(60, 1, VesselEnd::kContinues, 5.5));
}

TEST(Intervals, StayWhereTheQuantityCanBe) {
  EXPECT_DOUBLE_EQ(in_px({1, 1}).low, 0);
  EXPECT_DOUBLE_EQ(in_percent({10, 10}).low, 0);
  EXPECT_DOUBLE_EQ(in_percent({95, 10}).high, 100);
  EXPECT_NEAR(in_percent({50, 10}).low, 30.4, 0.01);
  EXPECT_DOUBLE_EQ(in_percent({-4, 3}).low, -4);  // wider than the reference
  EXPECT_TRUE(std::isnan(in_percent({std::nan(""), 3}).high));
}

TEST(Intervals, InMillimetresHoldBothUncertainties) {
  EXPECT_FALSE(in_mm(Estimate{10, 0.5}, {}).has_value());
  const Calibration calibration = calibrate_manually({0.2, 0.2}, 0.05);
  const Interval mm = *in_mm(Estimate{10, 0.5}, calibration);
  EXPECT_DOUBLE_EQ(mm.value, 2);
  // Walls 0.1 mm, calibration 0.1 mm.
  EXPECT_NEAR(mm.high - mm.value, 1.959964 * std::hypot(0.1, 0.1), 1e-6);
  EXPECT_NEAR(mm.value - mm.low, mm.high - mm.value, 1e-12);
}

}  // namespace
}  // namespace cmunet::vessel
