// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "cmunet/phantom/camera.h"
#include "cmunet/phantom/heart.h"

namespace cmunet::phantom {
namespace {

void expect_near(const Vec3& a, const Vec3& b, double tolerance) { EXPECT_LT(norm(a - b), tolerance); }

TEST(DrawHeart, StandsAsHeartsDo) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const Heart heart = draw_heart(rng);
    EXPECT_NEAR(dot(heart.apex_ward, heart.anterior), 0, 1e-12);
    EXPECT_NEAR(dot(heart.apex_ward, heart.left_ward), 0, 1e-12);
    EXPECT_NEAR(norm(heart.anterior), 1, 1e-12);
    const Vec3 apex = heart.at({90, 0});
    EXPECT_GT(apex.x, 0);              // to the left,
    EXPECT_GT(apex.y, 0);              // down
    EXPECT_GT(apex.z, 0);              // and to the front
    EXPECT_LT(heart.at({0, 0}).y, 0);  // the anterior groove is above
    EXPECT_LT(heart.at({0, 270}).x, heart.at({0, 90}).x);
  }
}

TEST(Heart, PlacesOfDepthOneLieOnItsSurface) {
  const Heart heart{{1, 0, 0}, {0, -1, 0}, {0, 0, -1}, 40, 80};
  expect_near(heart.at({0, 0}), {0, -40, 0}, 1e-9);
  expect_near(heart.at({0, 90}), {0, 0, -40}, 1e-9);
  expect_near(heart.at({90, 0}), {80, 0, 0}, 1e-9);
  for (const double latitude : {-40.0, 0.0, 35.0, 100.0}) {
    for (const double longitude : {0.0, 77.0, 200.0}) {
      EXPECT_NEAR(heart.depth_of(heart.at({latitude, longitude})), 1, 1e-12);
      EXPECT_NEAR(heart.depth_of(heart.at({latitude, longitude, 0.4})), 0.4, 1e-12);
      // The normal is perpendicular to both ways of moving on the surface.
      const Vec3 normal = heart.normal(heart.at({latitude, longitude}));
      const Vec3 south = heart.at({latitude + 1e-4, longitude}) - heart.at({latitude - 1e-4, longitude});
      const Vec3 east = heart.at({latitude, longitude + 1e-4}) - heart.at({latitude, longitude - 1e-4});
      EXPECT_NEAR(dot(normal, unit(south)), 0, 1e-6);
      EXPECT_NEAR(dot(normal, unit(east)), 0, 1e-6);
    }
  }
}

TEST(CurveThrough, PassesItsPointsEvenly) {
  const Vec3 points[] = {{0, 0, 0}, {10, 4, 0}, {25, -6, 3}, {30, 0, 9}};
  const auto curve = curve_through(points);
  for (std::size_t i = 1; i < curve.size(); ++i) {
    EXPECT_LE(norm(curve[i] - curve[i - 1]), kStepMm + 1e-9);
    EXPECT_GT(norm(curve[i] - curve[i - 1]), 0.98 * kStepMm);
  }
  for (const Vec3& p : points) {
    double nearest = 1e9;
    for (const Vec3& q : curve) nearest = std::min(nearest, norm(p - q));
    EXPECT_LT(nearest, kStepMm);
  }
}

TEST(CurveThrough, TwoPointsMakeALineAndFourOfACircleNearlyTheCircle) {
  const Vec3 ends[] = {{1, 2, 3}, {1, 2, 23}};
  const auto line = curve_through(ends);
  ASSERT_EQ(line.size(), 81U);
  expect_near(line[40], {1, 2, 13}, 1e-9);
  std::vector<Vec3> on_circle;
  for (int i = 0; i < 8; ++i) on_circle.push_back({30 * std::cos(0.3 * i), 30 * std::sin(0.3 * i), 0});
  for (const Vec3& p : curve_through(on_circle)) EXPECT_NEAR(norm(p), 30, 0.15);
}

TEST(Walk, KeepsItsDepthAndLength) {
  const Heart heart{{1, 0, 0}, {0, -1, 0}, {0, 0, -1}, 40, 80};
  Rng rng(1);
  const Vec3 start = heart.at({20, 50, 0.9});
  const auto course = walk(heart, start, {0, 1, 0}, 30, 0.5, rng);
  ASSERT_EQ(course.size(), 121U);
  expect_near(course.front(), start, 1e-12);
  for (std::size_t i = 1; i < course.size(); ++i) {
    EXPECT_NEAR(heart.depth_of(course[i]), 0.9, 1e-9);
    EXPECT_NEAR(norm(course[i] - course[i - 1]), kStepMm, 0.01 * kStepMm);
  }
}

TEST(Wound, LeavesTheStartAndAStraightManAlone) {
  const Heart heart{{1, 0, 0}, {0, -1, 0}, {0, 0, -1}, 40, 80};
  const Vec3 places[] = {heart.at({0, 0}), heart.at({30, 5}), heart.at({60, 0})};
  const auto course = curve_through(places);
  Rng rng(2);
  const auto same = wound(heart, course, 0, rng), moved = wound(heart, course, 1, rng);
  for (std::size_t i = 0; i < same.size(); ++i) EXPECT_LT(norm(same[i] - course[i]), 0.05);
  expect_near(moved.front(), course.front(), 1e-12);
  double most = 0;
  for (std::size_t i = 0; i < std::min(moved.size(), course.size()); ++i) {
    most = std::max(most, norm(moved[i] - course[i]));
  }
  EXPECT_GT(most, 1);
}

// A tree of one short branch, for aiming.
std::vector<TreeBranch> twig() { return {{-1, false, "x", {{{0, 0, 0}, 1, 0}, {{10, 20, 0}, 1, 0}}}}; }

TEST(DrawCamera, IsARightAngledFrameThatFollowsTheAngles) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const Camera camera = draw_camera(seed % 2 == 0 ? Artery::kLeft : Artery::kRight, twig(), 140, rng);
    expect_near(cross(camera.right, camera.down), camera.towards, 1e-12);
    EXPECT_NEAR(norm(camera.down), 1, 1e-12);
    // Left anterior oblique: the detector stands to the patient's left; cranial: above.
    EXPECT_EQ(camera.towards.x > 0, camera.view.lao_deg > 0);
    EXPECT_EQ(camera.towards.y<0, camera.view.cranial_deg> 0);
    // From the left front the spine appears on the right.
    EXPECT_EQ(dot(camera.right, {0, 0, -1}) > 0, camera.view.lao_deg > 0);
  }
}

TEST(DrawCamera, ShowsTheOstiumEvenInASmallField) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const Camera camera = draw_camera(Artery::kLeft, twig(), 20, rng);
    EXPECT_LE(std::abs(camera.y_mm({0, 0, 0})), 8 + 1e-9);
    EXPECT_LE(std::abs(camera.x_mm({0, 0, 0})), 8 + 1e-9);
  }
}

TEST(Project, PutsMillimetresOnPixels) {
  const Camera camera;  // straight from the front, aimed at the origin
  const std::vector<TreePoint> points{{{0, 0, 5}, 2, 0}, {{10, 0, 5}, 1, 10}, {{10, 3, 9}, 1, 15}};
  const auto flat = project(points, camera, 101, 0.5);
  EXPECT_DOUBLE_EQ(flat.front().y, 50);
  EXPECT_DOUBLE_EQ(flat.front().x, 50);
  EXPECT_DOUBLE_EQ(flat.back().y, 56);
  EXPECT_DOUBLE_EQ(flat.back().x, 70);
  EXPECT_DOUBLE_EQ(flat.front().steepness, 1);
  EXPECT_DOUBLE_EQ(flat.back().steepness, 5.0 / 3);  // 5 mm of way on 3 mm of picture
  ASSERT_EQ(flat.size(), 1U + 40 + 12);
  EXPECT_DOUBLE_EQ(flat[20].radius_mm, 1.5);
  EXPECT_DOUBLE_EQ(flat[20].from_ostium_mm, 5);
  const auto end_on = project({{{0, 0, 0}, 1, 0}, {{0, 0, 9}, 1, 9}}, camera, 101, 0.5);
  EXPECT_DOUBLE_EQ(end_on.back().steepness, 2.5);
}

}  // namespace
}  // namespace cmunet::phantom
