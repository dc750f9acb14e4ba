// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {
namespace {

double area_of(const image::Mask& mask) {
  return static_cast<double>(std::count(mask.begin(), mask.end(), std::uint8_t{1}));
}

double length_of(const Tube& tube) {
  double length = 0;
  for (std::size_t i = 1; i < tube.points.size(); ++i) {
    length += std::hypot(tube.points[i].y - tube.points[i - 1].y, tube.points[i].x - tube.points[i - 1].x);
  }
  return length;
}

class TubeAtAngle : public ::testing::TestWithParam<double> {};

TEST_P(TubeAtAngle, AreaIsLengthTimesDiameterPlusTheCaps) {
  for (const double diameter : {3.0, 8.0, 15.0}) {
    const Tube tube = make_tube(
        {.height = 127, .width = 127, .diameter_px = diameter, .end_diameter_px = diameter, .angle_deg = GetParam()});
    const double expected = 90 * diameter + std::numbers::pi * diameter * diameter / 4;
    // The edge cuts about one pixel per pixel of its length; their errors nearly cancel.
    EXPECT_NEAR(area_of(tube.mask), expected, 12) << diameter;
  }
}

TEST_P(TubeAtAngle, PixelsAreSetExactlyWhereTheirCentresLieWithin) {
  const Tube tube = make_tube(
      {.height = 60, .width = 70, .diameter_px = 7, .end_diameter_px = 7, .angle_deg = GetParam(), .length_px = 40});
  const double angle = GetParam() * std::numbers::pi / 180, dy = std::sin(angle), dx = std::cos(angle);
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 70; ++x) {
      const double v = y - 29.5, u = x - 34.5, t = std::clamp(v * dy + u * dx, -20.0, 20.0);
      const double distance = std::hypot(v - t * dy, u - t * dx);
      if (std::abs(distance - 3.5) < 1e-3) continue;  // the sampled centre line is that exact
      EXPECT_EQ(tube.mask.at(y, x), distance < 3.5 ? 1 : 0) << y << "," << x;
    }
  }
}

TEST_P(TubeAtAngle, TaperedAreaIsThatOfTheTrapezium) {
  const Tube tube = make_tube({.diameter_px = 16, .end_diameter_px = 6, .angle_deg = GetParam(), .length_px = 80});
  // Between the caps, whose tangents tilt the sides by asin((8 − 3) / 80): convex hull of two discs.
  const double r = 8, s = 3, length = 80, tilt = std::asin((r - s) / length);
  const double expected = std::sqrt(length * length - (r - s) * (r - s)) * (r + s) +
                          r * r * (std::numbers::pi / 2 + tilt) + s * s * (std::numbers::pi / 2 - tilt);
  EXPECT_NEAR(area_of(tube.mask), expected, 12);
}

TEST_P(TubeAtAngle, BentAreaIsTheArcsLengthTimesDiameter) {
  const Tube tube =
      make_tube({.diameter_px = 9, .end_diameter_px = 9, .angle_deg = GetParam(), .length_px = 80, .bend_px = 25});
  const double a = 4.0 * 25 / 80, arc = 40 * std::sqrt(1 + a * a) + 40 / a * std::asinh(a);  // of a parabola
  EXPECT_NEAR(length_of(tube), arc, 0.01);
  EXPECT_NEAR(area_of(tube.mask), arc * 9 + std::numbers::pi * 81 / 4, 15);
}

// Not along the grid or its diagonals, where whole rows of pixel centres lie on one side of an edge together.
INSTANTIATE_TEST_SUITE_P(Angles, TubeAtAngle, ::testing::Values(17.0, 33.0, 61.0, 107.0, 152.0, -20.0));

TEST(MakeTube, TaperBendAndStenosisAreWhereTheyShouldBe) {
  const Tube tube = make_tube(
      {.diameter_px = 12, .end_diameter_px = 6, .bend_px = 20, .stenosis_percent = 50, .spacing_mm = {0.25, 0.25}});
  EXPECT_DOUBLE_EQ(tube.points.front().diameter_px, 12);
  EXPECT_DOUBLE_EQ(tube.points.front().diameter_mm, 3);
  EXPECT_DOUBLE_EQ(tube.points.back().diameter_px, 6);
  EXPECT_DOUBLE_EQ(tube.points.front().x, 63.5 - 45);
  const CentrelinePoint& middle = tube.points[tube.points.size() / 2];
  EXPECT_NEAR(middle.diameter_px, 4.5, 1e-9);
  EXPECT_NEAR(middle.y, 63.5 - 20, 1e-9);
  EXPECT_EQ(tube.mask.spacing_mm, (image::Spacing{0.25, 0.25}));
}

TEST(MakeTube, UnequalSpacingHoldsTheSameTubeOnAnotherGrid) {
  TubeOptions o{.diameter_px = 9, .end_diameter_px = 9, .angle_deg = 33, .length_px = 70};
  const Tube square = make_tube(o);
  o.spacing_mm = {0.6, 0.3};  // rows twice as far apart
  o.height = 64;
  const Tube flat = make_tube(o);
  EXPECT_NEAR(2 * area_of(flat.mask), area_of(square.mask), 12);
  EXPECT_DOUBLE_EQ(flat.points.front().diameter_mm, square.points.front().diameter_mm);
  const auto along = [](const Tube& t) { return t.points.back().y - t.points.front().y; };
  EXPECT_NEAR(2 * along(flat), along(square), 1e-9);
}

TEST(MakeTube, SoftIsHalfOnTheWall) {
  const Tube tube = make_tube({.diameter_px = 9, .end_diameter_px = 9, .offset_y_px = 0.3});
  // The tube lies along the rows, its middle at y = 63.5 + 0.3, its walls at 59.3 and 68.3.
  for (int y = 55; y < 72; ++y) {
    const double inside = 4.5 - std::abs(y - 63.8);
    EXPECT_NEAR(tube.soft.at(y, 64), std::clamp(0.5 + inside, 0.0, 1.0), 1e-5) << y;
    EXPECT_EQ(tube.mask.at(y, 64), inside >= 0 ? 1 : 0);
  }
}

TEST(MakeTube, RefusesWhatIsNoTube) {
  EXPECT_THROW(make_tube({.height = 0}), Error);
  EXPECT_THROW(make_tube({.diameter_px = 0}), Error);
  EXPECT_THROW(make_tube({.end_diameter_px = -1}), Error);
  EXPECT_THROW(make_tube({.length_px = 0}), Error);
  EXPECT_THROW(make_tube({.stenosis_percent = 100}), Error);
  EXPECT_THROW(make_tube({.spacing_mm = {0, 0.3}}), Error);
}

TEST(PaintDisc, TakesTheEdgeAndNothingOutsideThePicture) {
  image::Mask mask(7, 7);
  paint_disc(mask, 3, 3, 2);
  EXPECT_EQ(area_of(mask), 13);  // lattice points within a circle of radius 2
  EXPECT_EQ(mask.at(1, 3), 1);
  EXPECT_EQ(mask.at(1, 2), 0);
  paint_disc(mask, -1e12, 1e12, 3);
  EXPECT_EQ(area_of(mask), 13);
  paint_disc(mask, 0, 0, 1e9);
  EXPECT_EQ(area_of(mask), 49);
}

TEST_P(TubeAtAngle, ChordsAddUpToItsVolume) {
  TubeOptions options{.height = 100, .width = 100, .diameter_px = 9, .end_diameter_px = 9};
  options.angle_deg = GetParam(), options.length_px = 50;
  for (const image::Spacing& spacing : {image::Spacing{0.3, 0.3}, image::Spacing{0.4, 0.3}}) {
    options.spacing_mm = spacing;
    const image::ImageF chords = chords_mm(make_tube(options));
    double volume_mm3 = 0;
    for (const float chord : chords) volume_mm3 += double{chord} * spacing.row_mm * spacing.col_mm;
    const double r = 4.5 * 0.3, length = 50 * 0.3;  // a cylinder and two half balls
    EXPECT_NEAR(volume_mm3, std::numbers::pi * r * r * (length + 4 * r / 3), 0.01 * volume_mm3);
    EXPECT_NEAR(*std::max_element(chords.begin(), chords.end()), 2 * r, 0.02);
  }
}

TEST(ExposedTubes, FollowBeerLambert) {
  const image::ImageF chords = chords_mm(make_tube({.diameter_px = 12, .end_diameter_px = 12}));
  Rng rng(1);
  const auto sharp = expose_tubes(chords, {.density_per_mm = 0.2, .blur_px = 0, .photons = 0}, rng);
  for (std::size_t i = 0; i < chords.size(); ++i) {
    EXPECT_NEAR(sharp.data()[i], 130 * std::exp(-0.2 * double{chords.data()[i]}), 0.51);
  }
  const auto mean_and_sd = [](const image::Image<std::uint8_t>& picture) {
    double sum = 0, squares = 0;  // of the corner, which the tube does not reach
    for (int y = 0; y < 30; ++y) {
      for (int x = 0; x < 30; ++x) sum += picture.at(y, x), squares += picture.at(y, x) * picture.at(y, x);
    }
    return std::pair(sum / 900, std::sqrt(squares / 900 - sum * sum / 900 / 900));
  };
  const auto [mean, sd] = mean_and_sd(expose_tubes(chords, {.photons = 400}, rng));
  EXPECT_NEAR(mean, 130, 0.7);
  // 1 / √400 of the mean, of which a blur of 0.55 px leaves 0.559: the sum of its squared weights in one direction.
  EXPECT_NEAR(sd, 130 / 20.0 * 0.559, 0.45);
}

}  // namespace
}  // namespace cmunet::phantom
