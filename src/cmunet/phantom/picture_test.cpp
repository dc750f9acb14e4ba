// SPDX-License-Identifier: Apache-2.0
// From geometry to grey: attenuation against closed forms, blur, noise, collimator.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "cmunet/phantom/background.h"
#include "cmunet/phantom/contrast.h"
#include "cmunet/phantom/exposure.h"

namespace cmunet::phantom {
namespace {

using image::ImageF;

constexpr double kSpacingMm = 0.5;

// Straight tubes of 3 mm on a picture of 128 px, seen from the front. The catheter stays outside.
class Contrast : public ::testing::Test {
 protected:
  void add_tube(const Vec3& from, const Vec3& to, int parent = -1, bool continues = false) {
    const Vec3 points[] = {from, to};
    TreeBranch branch{parent, continues, "x", {}};
    for (const Vec3& p : curve_through(points)) branch.points.push_back({p, 1.5, 0});
    flat.push_back(project(branch.points, Camera{}, 128, kSpacingMm));
    tree.push_back(std::move(branch));
  }

  ImageF attenuation(const Injection& injection = {0.2, 1e12}) const {
    const auto catheter = project({{{-500, -500, 0}, 1, 0}}, Camera{}, 128, kSpacingMm);
    return attenuation_of_contrast(tree, flat, catheter, injection, 128, kSpacingMm);
  }

  // Mean chord over a pixel that reaches from the axis to `side_mm` beside it, times attenuation per mm.
  static double mean_chord(double side_mm) {
    const double r = 1.5;
    return 0.2 * (side_mm * std::sqrt(r * r - side_mm * side_mm) + r * r * std::asin(side_mm / r)) / side_mm;
  }

  // Sum over column x, in mm: the area of the cross-section times attenuation per mm.
  static double column(const ImageF& a, int x) {
    double sum = 0;
    for (int y = 0; y < a.height(); ++y) sum += static_cast<double>(a.at(y, x));
    return sum * kSpacingMm;
  }

  std::vector<TreeBranch> tree;
  std::vector<std::vector<FlatPoint>> flat;
};

TEST_F(Contrast, OfATubeIsItsChordInEveryRay) {
  add_tube({-25, 0, 0}, {25, 0, 0});
  const ImageF a = attenuation();
  EXPECT_NEAR(column(a, 60), 0.2 * std::numbers::pi * 1.5 * 1.5, 0.01);
  EXPECT_NEAR(static_cast<double>(a.at(63, 60)), mean_chord(kSpacingMm), 0.001);
  EXPECT_EQ(a.at(63 - 4, 60), 0);
}

TEST_F(Contrast, GrowsWithTheWayThroughASlantedTube) {
  add_tube({-12, 0, -12}, {12, 0, 12});
  EXPECT_NEAR(column(attenuation(), 60), 0.2 * std::numbers::pi * 1.5 * 1.5 * std::sqrt(2), 0.02);
}

TEST_F(Contrast, AddsUpWhereVesselsCrossButNotWithinOne) {
  add_tube({-25, 0, 0}, {0, 0, 0});
  add_tube({0, 0, 0}, {25, 0, 0}, 0, true);  // goes on: no seam
  add_tube({0, 0, 0}, {0, -25, 0}, 0);       // leaves: one lumen at the fork
  add_tube({-15, -25, 9}, {-15, 25, 9}, 0);  // crosses in front
  const ImageF a = attenuation();
  const auto at = [&](double y_mm, double x_mm) {
    const auto px = [](double mm) { return static_cast<int>(std::floor(63.5 + mm / kSpacingMm)); };
    return static_cast<double>(a.at(px(y_mm), px(x_mm)));
  };
  const double chord = mean_chord(kSpacingMm);
  EXPECT_NEAR(at(0, -8), chord, 0.001);
  EXPECT_GE(at(0, 0), chord - 0.001);  // at the fork the longer of two chords
  EXPECT_LE(at(0, 0), 0.2 * 3);
  EXPECT_NEAR(at(0, 1), chord, 0.001);
  EXPECT_NEAR(at(-10, 0), chord, 0.001);
  EXPECT_NEAR(at(0, -15), 2 * chord, 0.002);
}

TEST_F(Contrast, ThinsOutDistally) {
  add_tube({-25, 0, 0}, {25, 0, 0});
  for (std::size_t i = 0; i < flat[0].size(); ++i) flat[0][i].from_ostium_mm = 100;
  const double full = column(attenuation(), 60);
  EXPECT_NEAR(column(attenuation({0.2, 50}), 60), full * std::exp(-2), 1e-4);
}

TEST_F(Contrast, OfACatheterHasWallAndLumen) {
  const Vec3 points[] = {{-25, 0, 0}, {25, 0, 0}};
  std::vector<TreePoint> course;
  for (const Vec3& p : curve_through(points)) course.push_back({p, 1, 0});
  const auto catheter = project(course, Camera{}, 128, kSpacingMm);
  const ImageF a = attenuation_of_contrast({}, {}, catheter, {0.2, 100}, 128, kSpacingMm);
  const double lumen = std::numbers::pi * 0.85 * 0.85, wall = std::numbers::pi - lumen;
  EXPECT_NEAR(column(a, 60), 0.2 * lumen + 0.12 * wall, 0.01);
}

TEST(MakeCatheter, ComesFromAboveAndEndsInTheOstium) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Rng rng(seed);
    const Heart heart = draw_heart(rng);
    const Vec3 ostium = heart.at({-16, 335, 0.42});
    const auto catheter = make_catheter(heart, ostium, rng);
    EXPECT_LT(norm(catheter.back().position_mm - ostium), kStepMm);
    EXPECT_LT(catheter.front().position_mm.y, ostium.y - 100);
  }
}

TEST(GaussianBlur, SpreadsAPointToTheAskedVariance) {
  ImageF point(41, 41);
  point.at(20, 20) = 1;
  for (const double sigma : {0.8, 2.0, 4.0}) {
    const ImageF blurred = gaussian_blur(point, sigma);
    double sum = 0, y2 = 0, x2 = 0;
    for (int y = 0; y < 41; ++y) {
      for (int x = 0; x < 41; ++x) {
        const auto v = static_cast<double>(blurred.at(y, x));
        sum += v, y2 += v * (y - 20) * (y - 20), x2 += v * (x - 20) * (x - 20);
      }
    }
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_NEAR(y2, sigma * sigma, 0.04 * sigma * sigma);  // less what is cut off
    EXPECT_NEAR(x2, y2, 1e-4);
  }
}

TEST(GaussianBlur, LeavesAnEvenPictureAndZeroSigmaAlone) {
  const ImageF even(9, 13, 5.0F);
  for (const float v : gaussian_blur(even, 3)) EXPECT_NEAR(v, 5.0F, 1e-5F);
  ImageF uneven(9, 13, 5.0F);
  uneven.at(0, 0) = 9;
  EXPECT_EQ(gaussian_blur(uneven, 0), uneven);
}

// Mean and standard deviation of an evenly lit picture.
std::pair<double, double> grey_of(const Options& options) {
  Rng rng(4);
  const ImageF attenuation(options.size, options.size, 3.0F);
  const auto picture = expose(attenuation, image::Mask(options.size, options.size, 1), options, rng);
  double sum = 0, squares = 0;
  for (const std::uint8_t v : picture) sum += v, squares += v * v;
  const auto n = static_cast<double>(picture.size());
  return {sum / n, std::sqrt(squares / n - sum * sum / n / n)};
}

TEST(Expose, NoiseFallsWithTheRootOfTheQuanta) {
  const auto [few_mean, few_sd] = grey_of({.size = 128, .photons = 20});
  const auto [many_mean, many_sd] = grey_of({.size = 128, .photons = 80});
  EXPECT_NEAR(few_sd / many_sd, 2, 0.15);
  EXPECT_NEAR(few_mean, many_mean, 2);
  EXPECT_GT(few_mean, 100);
  EXPECT_LT(few_mean, 160);
}

TEST(Expose, GivesTheSameDoseAtEverySize) {
  // Four times the pixels with a quarter of the quanta each: the same noise for the same quanta per pixel.
  EXPECT_NEAR(grey_of({.size = 128, .photons = 40}).second, grey_of({.size = 256, .photons = 160}).second, 0.6);
}

TEST(Expose, IsDarkBehindTheShutterAndWhereMuchIsAbsorbed) {
  ImageF attenuation(128, 128, 1.0F);
  image::Mask open(128, 128, 1);
  for (int y = 0; y < 128; ++y) {
    for (int x = 0; x < 30; ++x) open.at(y, x) = 0;
    for (int x = 100; x < 110; ++x) attenuation.at(y, x) = 1.7F;
  }
  Rng rng(5);
  const auto picture = expose(attenuation, open, {.size = 128}, rng);
  EXPECT_LT(picture.at(64, 10), 40);
  EXPECT_GT(picture.at(64, 64), 95);
  EXPECT_LT(picture.at(64, 105), 0.7 * picture.at(64, 64));
}

TEST(MakeCollimator, OpensMostOfThePictureInOnePiece) {
  int closed_somewhere = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Rng rng(seed);
    const image::Mask open = make_collimator(96, rng);
    const auto area = std::accumulate(open.begin(), open.end(), 0);
    EXPECT_GT(area, 96 * 96 * 7 / 10) << seed;
    closed_somewhere += area < 96 * 96 ? 1 : 0;
    for (int y = 0; y < 96; ++y) {  // convex: open pixels of a row are neighbours
      int changes = 0;
      for (int x = 1; x < 96; ++x) changes += open.at(y, x) != open.at(y, x - 1) ? 1 : 0;
      EXPECT_LE(changes, 2);
    }
  }
  EXPECT_GT(closed_somewhere, 20);
  EXPECT_LT(closed_somewhere, 40);
}

TEST(MakeBackground, IsTheSameSceneAtEverySize) {
  Rng heart_rng(1);
  const Heart heart = draw_heart(heart_rng);
  Rng a(7), b(7);
  const ImageF large = make_background(256, 140, heart, Camera{}, a);
  const ImageF small = make_background(128, 140, heart, Camera{}, b);
  double difference = 0, low = 1e9, high = -1e9;
  for (int y = 0; y < 128; ++y) {
    for (int x = 0; x < 128; ++x) {
      const auto mean = static_cast<double>(large.at(2 * y, 2 * x) + large.at(2 * y + 1, 2 * x) +
                                            large.at(2 * y, 2 * x + 1) + large.at(2 * y + 1, 2 * x + 1)) /
                        4;
      difference += std::abs(mean - static_cast<double>(small.at(y, x)));
      low = std::min(low, mean), high = std::max(high, mean);
    }
  }
  EXPECT_LT(difference / (128 * 128), 0.01);
  EXPECT_GT(high - low, 0.2);
}

}  // namespace
}  // namespace cmunet::phantom
