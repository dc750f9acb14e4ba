// SPDX-License-Identifier: Apache-2.0
// References and narrowings on diameters that are given, so that the results are closed forms.
#include "cmunet/vessel/stenosis.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/error.h"

namespace cmunet::vessel {
namespace {

std::vector<Sample> profile(int n, double (*diameter)(int)) {
  std::vector<Sample> samples(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    Sample& s = samples[static_cast<std::size_t>(i)];
    s.arc_px = i / 2.0;
    s.diameter_px = diameter(i);
    s.sd_px = 0.4;
  }
  return samples;
}

std::optional<Narrowing> find_narrowing(std::span<const Sample> samples, const std::vector<double>& markers = {}) {
  return find_narrowings(samples, {.markers = markers}).narrowest;
}

double percent_of(const Narrowing& n) { return n.against_reference(Reference::kComputed).diameter_percent.value; }

// 20 px falling to 10 over 100 px, halved from 45 to 55 px.
double tapered_and_halved(int i) { return (20 - 0.05 * i) * (std::abs(i - 100) <= 10 ? 0.5 : 1.0); }

TEST(FindNarrowing, HasTheThreeReferences) {
  const auto samples = profile(201, tapered_and_halved);
  const auto found = find_narrowing(samples);
  ASSERT_TRUE(found.has_value());
  const double arc = samples[found->sample].arc_px;
  EXPECT_NEAR(arc, 50, 5);
  EXPECT_NEAR(found->minimal_px.value, (20 - 0.1 * arc) / 2, 0.1);
  const Stenosis& computed = found->against_reference(Reference::kComputed);
  EXPECT_NEAR(computed.line.slope, -0.1, 1e-9);
  EXPECT_NEAR(computed.reference_px.value, 20 - 0.1 * arc, 1e-9);
  EXPECT_NEAR(computed.diameter_percent.value, 50, 0.5);
  const Stenosis& interpolated = found->against_reference(Reference::kInterpolated);
  EXPECT_NEAR(interpolated.line.slope, -0.1, 1e-9);
  EXPECT_NEAR(interpolated.line.at(5), 19.5, 1e-9);
  const Stenosis& local = found->against_reference(Reference::kMeanLocal);
  EXPECT_EQ(local.line.slope, 0);
  const double before = samples[found->first].arc_px - 5, behind = samples[found->last].arc_px + 5;
  EXPECT_NEAR(local.reference_px.value, 20 - 0.1 * (before + behind) / 2, 1e-9);
}

TEST(FindNarrowing, TakesMarkers) {
  const auto samples = profile(201, tapered_and_halved);
  const std::vector<double> one{0.1}, two{0.1, 0.8};
  EXPECT_NEAR(find_narrowing(samples, one)->against_reference(Reference::kMeanLocal).reference_px.value, 19, 1e-9);
  EXPECT_NEAR(find_narrowing(samples, two)->against_reference(Reference::kMeanLocal).reference_px.value, 15.5, 1e-9);
  EXPECT_NEAR(find_narrowing(samples, two)->against_reference(Reference::kInterpolated).line.at(30), 17, 1e-9);
  EXPECT_EQ(find_narrowing(samples, one)->against_reference(Reference::kInterpolated).line.slope, 0);
  EXPECT_THROW(find_narrowing(samples, std::vector<double>{1.5}), Error);
}

// A taper from 20 to 6 px: a line through its beginning reaches 0 before the narrowed part at 90 % of the length.
TEST(FindNarrowing, ALineThatLeavesTheVesselIsNoReference) {
  const auto samples = profile(401, [](int i) {
    const double taper = i < 120 ? 20 - 0.1 * i : 8;
    return std::abs(i - 360) <= 8 ? 0.5 * taper : taper;
  });
  const auto found = find_narrowing(samples, {0.05, 0.25});
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(std::isnan(found->against_reference(Reference::kInterpolated).diameter_percent.value));
  EXPECT_TRUE(std::isnan(found->against_reference(Reference::kInterpolated).reference_px.value));
  EXPECT_NEAR(percent_of(*found), 50, 5);
}

TEST(FindNarrowing, SaysWhatFollowsFromDiameterAndReference) {
  const auto found = find_narrowing(profile(201, tapered_and_halved));
  for (const Reference reference : kReferences) {
    const Stenosis& s = found->against_reference(reference);
    const double ratio = found->minimal_px.value / s.reference_px.value;
    EXPECT_NEAR(s.diameter_percent.value, 100 * (1 - ratio), 1e-9);
    EXPECT_NEAR(s.area_percent.value, 100 * (1 - ratio * ratio), 1e-9);
    EXPECT_NEAR(s.diameter_percent.sd, 100 * 0.4 / s.reference_px.value * std::hypot(1, ratio), 1e-9);
    EXPECT_NEAR(s.area_percent.sd, 2 * ratio * s.diameter_percent.sd, 1e-9);
  }
  // The halved part, widened by the 1 px over which diameters are averaged.
  EXPECT_NEAR(found->length_px.value, 10, 2.01);
}

// A funnel of 20 px that narrows by 0.5 px per px of way: each threshold has its own length.
TEST(FindNarrowing, IsAsShortAsItSurelyIsAndAsLongAsItMayBe) {
  const auto samples = profile(401, [](int i) { return std::min(20.0, 8 + 0.5 * std::abs(i / 2.0 - 100)); });
  const auto found = find_narrowing(samples);
  ASSERT_TRUE(found.has_value());
  const double sd = std::hypot(0.4, 0.95 * 0.4);  // of a diameter less 95 % of the reference
  const auto length_px = [](double diameter_px) { return 2 * (diameter_px - 8) / 0.5; };
  EXPECT_NEAR(found->length_px.value, length_px(19), 1.01);  // a sample at each end
  EXPECT_NEAR(found->length_px.low, length_px(19 - kTwoSided95 * sd), 1.01);
  EXPECT_NEAR(found->length_px.high, length_px(20), 1.01);  // not beyond the whole width
}

// PS3.17 T.4, (b): a line through more than two markers is that of least squares.
TEST(FindNarrowing, InterpolatesBetweenThreeMarkers) {
  // 10, 12 and 10 px at 10, 50 and 90 of 100 px, each over ±5 px; between them 11, at 30 px a lesion.
  const auto samples = profile(201, [](int i) {
    if (std::abs(i - 60) <= 4) return 5.0;
    if (std::abs(i - 20) <= 10 || std::abs(i - 180) <= 10) return 10.0;
    return std::abs(i - 100) <= 10 ? 12.0 : 11.0;
  });
  const DiameterLine line = find_narrowing(samples, {0.1, 0.5, 0.9})->against_reference(Reference::kInterpolated).line;
  EXPECT_NEAR(line.slope, 0, 1e-9);
  EXPECT_NEAR(line.at_zero_px, 32.0 / 3, 1e-9);
}

TEST(FindNarrowing, MarkersAreSharesOfTheLengthAndMeansOverFivePixels) {
  // Beginning at 40 px along the centre line; one step from 8 to 12 px at 50 % of the length, a lesion at 80 %.
  auto samples = profile(201, [](int i) { return std::abs(i - 160) <= 4 ? 3.0 : i < 100 ? 8.0 : 12.0; });
  for (Sample& s : samples) s.arc_px += 40;
  // At 50 %: 5 samples before the step and 6 from it on, within ±2.5 px.
  const auto found = find_narrowing(samples, {0.5});
  EXPECT_NEAR(found->against_reference(Reference::kMeanLocal).reference_px.value, (5 * 8 + 6 * 12) / 11.0, 1e-9);
  const DiameterLine line = find_narrowing(samples)->against_reference(Reference::kInterpolated).line;
  EXPECT_NEAR(line.at(45), 8, 1e-9);
  EXPECT_NEAR(line.at(135), 12, 1e-9);
}

// PS3.17 T.4, (c): outside a lesion that leaves room on one side only there is one place.
TEST(FindNarrowing, MeanLocalTakesTheSideThatThereIs) {
  const auto samples = profile(201, [](int i) { return i < 16 ? 5.0 : 10.0 + 0.01 * i; });
  const auto found = find_narrowing(samples);
  const double behind = samples[found->last].arc_px + 5;
  EXPECT_NEAR(found->against_reference(Reference::kMeanLocal).reference_px.value, 10 + 0.02 * behind, 1e-9);
  EXPECT_EQ(found->first, 0U);
}

// PS3.17 T.4, (a), with too little vessel for a slope.
TEST(FindNarrowing, AShortVesselsReferenceIsItsMean) {
  // 15 px of 8.7 and 9.3 px: less than three diameters.
  const auto samples = profile(31, [](int i) { return std::abs(i - 15) <= 3 ? 4.0 : i < 15 ? 8.7 : 9.3; });
  const DiameterLine line = find_narrowing(samples)->against_reference(Reference::kComputed).line;
  EXPECT_EQ(line.slope, 0);
  EXPECT_NEAR(line.at_zero_px, 9, 0.1);
}

TEST(FindNarrowing, ASecondTightPlaceDoesNotPullTheReferenceDown) {
  const auto found = find_narrowing(profile(301, [](int i) {
    return std::abs(i - 80) <= 16 ? 4.0 : std::abs(i - 220) <= 16 ? 5.0 : 10.0;
  }));
  EXPECT_NEAR(found->against_reference(Reference::kComputed).reference_px.value, 10, 1e-6);
  EXPECT_NEAR(found->against_reference(Reference::kComputed).diameter_percent.value, 60, 1e-6);
}

TEST(FindNarrowing, TheThinEndOfATaperIsNone) {
  const auto found = find_narrowing(profile(201, [](int i) { return 20 - 0.05 * i; }));
  EXPECT_NEAR(found->against_reference(Reference::kComputed).diameter_percent.value, 0, 0.5);
}

// 10 px over 150 px, falling to 2 over the last 15, with a lesion of 60 % from 70 to 80 px.
double narrowed_and_fading(int i) {
  if (std::abs(i - 150) <= 10) return 4.0;
  return i <= 270 ? 10.0 : 10.0 - 8.0 * (i - 270) / 30;
}

TEST(FindNarrowings, AFadingEndIsPutAsideAndHidesNoLesion) {
  const auto samples = profile(301, narrowed_and_fading);
  for (const VesselEnd end : {VesselEnd::kFree, VesselEnd::kBorder}) {
    const Narrowings found = find_narrowings(samples, {.end = end});
    ASSERT_TRUE(found.narrowest.has_value());
    EXPECT_NEAR(percent_of(*found.narrowest), 60, 0.05);
    EXPECT_NEAR(samples[found.narrowest->sample].arc_px, 75, 5);
    EXPECT_EQ(found.narrowest->touches, VesselEnd::kContinues);
    ASSERT_EQ(found.at_ends.size(), 1U);
    EXPECT_EQ(found.at_ends[0].touches, end);
    EXPECT_EQ(found.at_ends[0].last, 300U);
    EXPECT_NEAR(samples[found.at_ends[0].first].arc_px, 136, 1.1);  // where 10 px have become 9.5
    EXPECT_GT(percent_of(found.at_ends[0]), 75);
  }
  // Where the vessel goes on, the same is a narrowing as any other.
  const Narrowings going_on = find_narrowings(samples);
  EXPECT_TRUE(going_on.at_ends.empty());
  EXPECT_EQ(going_on.narrowest->last, 300U);
}

TEST(FindNarrowings, BothEndsAreLookedAt) {
  const auto samples = profile(301, [](int i) { return narrowed_and_fading(300 - i); });
  const Narrowings found = find_narrowings(samples, {.start = VesselEnd::kFree, .end = VesselEnd::kBorder});
  ASSERT_EQ(found.at_ends.size(), 1U);
  EXPECT_EQ(found.at_ends[0].first, 0U);
  EXPECT_EQ(found.at_ends[0].touches, VesselEnd::kFree);
  EXPECT_NEAR(percent_of(*found.narrowest), 60, 0.05);
}

TEST(FindNarrowings, ALesionKeepsHalfADiameterOfVesselFromTheEnd) {
  // Narrowed from 20 to 30 px of 10 px: ends `gap` px before the vessel does.
  const auto ends_before = [](double gap_px) {
    auto samples = profile(201, [](int i) { return i >= 40 && i <= 60 ? 5.0 : 10.0; });
    std::erase_if(samples, [gap_px](const Sample& s) { return s.arc_px > 30.5 + gap_px; });
    return find_narrowings(samples, {.end = VesselEnd::kFree}).at_ends.size();
  };
  EXPECT_EQ(ends_before(7), 0U);
  EXPECT_EQ(ends_before(4), 1U);
}

TEST(FindNarrowings, NothingIsLeftOfAVesselThatOnlyFades) {
  const auto samples = profile(25, [](int i) { return i < 6 ? 10.0 : 5.0; });
  const Narrowings found = find_narrowings(samples, {.start = VesselEnd::kFree, .end = VesselEnd::kFree});
  for (const Narrowing& n : found.at_ends) EXPECT_NE(n.touches, VesselEnd::kContinues);
  EXPECT_FALSE(found.at_ends.empty());
}

TEST(WholePart, LeavesOutWhatFadesAndKeepsAllWhenNothingElseIsThere) {
  const auto samples = profile(301, narrowed_and_fading);
  const Narrowings found = find_narrowings(samples, {.end = VesselEnd::kFree});
  const auto whole = whole_part(samples, found.at_ends);
  EXPECT_EQ(whole.front().arc_px, 0);
  EXPECT_EQ(whole.size(), found.at_ends[0].first);
  Narrowing everything;
  everything.last = 300;
  EXPECT_EQ(whole_part(samples, std::vector{everything}).size(), 301U);
  EXPECT_EQ(whole_part(samples, {}).size(), 301U);
}

TEST(FindNarrowing, NeedsTenPixels) {
  EXPECT_FALSE(find_narrowing(profile(20, [](int) { return 5.0; })).has_value());
  EXPECT_TRUE(find_narrowing(profile(21, [](int) { return 5.0; })).has_value());
  EXPECT_FALSE(find_narrowing(std::vector<Sample>()).has_value());
}

TEST(MeanDiameter, OfNothingIsUndefined) {
  EXPECT_TRUE(std::isnan(mean_diameter({}).value));
  EXPECT_DOUBLE_EQ(mean_diameter(profile(3, [](int i) { return 1.0 + i; })).value, 2);
}

}  // namespace
}  // namespace cmunet::vessel
