// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/phantom.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {
namespace {

double area_of(const image::Mask& mask) {
  return static_cast<double>(std::count(mask.begin(), mask.end(), std::uint8_t{1}));
}

TEST(GrowTree, FollowsMurraysLawAtEveryBifurcation) {
  for (const Artery artery : {Artery::kRight, Artery::kLeft}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      Rng rng(seed);
      const auto tree = grow_tree(artery, rng);
      EXPECT_GT(tree.size(), 10U);
      int bifurcations = 0;
      for (std::size_t b = 0; b < tree.size(); ++b) {
        double cubes = 0;
        int daughters = 0;
        for (const TreeBranch& other : tree) {
          if (other.parent != static_cast<int>(b)) continue;
          cubes += std::pow(other.points.front().radius_mm, 3);
          ++daughters;
        }
        if (daughters != 2) continue;
        EXPECT_NEAR(cubes, std::pow(tree[b].points.back().radius_mm, 3), 1e-9);
        ++bifurcations;
      }
      EXPECT_GT(bifurcations, 4);
    }
  }
}

TEST(GrowTree, RadiiOnlyFallDownstream) {
  Rng rng(3);
  for (const TreeBranch& branch : grow_tree(Artery::kRight, rng)) {
    for (std::size_t i = 1; i < branch.points.size(); ++i) {
      EXPECT_LE(branch.points[i].radius_mm, branch.points[i - 1].radius_mm);
    }
  }
}

TEST(MakePhantom, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const Options options{.size = 128};
  const Phantom a = make_phantom(options, 5), b = make_phantom(options, 5), c = make_phantom(options, 6);
  EXPECT_EQ(a.image, b.image);
  EXPECT_EQ(a.mask, b.mask);
  EXPECT_EQ(truth_json(a), truth_json(b));
  EXPECT_NE(a.image, c.image);
}

TEST(MakePhantom, MaskIsTheUnionOfTheTruthsDiscs) {
  const Phantom p = make_phantom({.size = 96}, 2);
  std::int64_t outside = 0;
  for (int y = 0; y < 96; ++y) {
    for (int x = 0; x < 96; ++x) {
      bool inside = false;
      for (const Branch& branch : p.branches) {
        for (const CentrelinePoint& q : branch.points) {
          inside = inside || std::hypot(y - q.y, x - q.x) <= q.diameter_px / 2;
        }
      }
      // The collimator hides vessels and never adds any.
      EXPECT_TRUE(inside || p.mask.at(y, x) == 0) << y << "," << x;
      outside += inside && p.mask.at(y, x) == 0 ? 1 : 0;
    }
  }
  EXPECT_LT(static_cast<double>(outside), 0.2 * area_of(p.mask));
}

TEST(MakePhantom, PointsAreDenseAndInMillimetres) {
  const Phantom p = make_phantom({.size = 256}, 8);
  for (const Branch& branch : p.branches) {
    for (std::size_t i = 0; i < branch.points.size(); ++i) {
      const CentrelinePoint& q = branch.points[i];
      EXPECT_NEAR(q.diameter_px * p.spacing_mm.row_mm, q.diameter_mm, 1e-9);
      if (i == 0) continue;
      EXPECT_LE(std::hypot(q.y - branch.points[i - 1].y, q.x - branch.points[i - 1].x), 0.5 + 1e-9);
    }
  }
}

TEST(MakePhantom, VesselsAreDarkAndOfAPlausibleShare) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const Phantom p = make_phantom({.size = 256}, seed);
    const double share = area_of(p.mask) / static_cast<double>(p.mask.size());
    EXPECT_GT(share, 0.015) << seed;
    EXPECT_LT(share, 0.12) << seed;
    // Along the first, widest branch: darker than a few diameters aside.
    double inside = 0, beside = 0;
    int n = 0;
    for (const CentrelinePoint& q : p.branches.front().points) {
      const int y = static_cast<int>(std::lround(q.y)), x = static_cast<int>(std::lround(q.x));
      const int reach = static_cast<int>(2 * q.diameter_px);
      for (const auto& [dy, dx] : {std::pair{-reach, 0}, {reach, 0}, {0, -reach}, {0, reach}}) {
        if (!p.image.contains(y, x) || !p.image.contains(y + dy, x + dx) || p.mask.at(y, x) == 0) continue;
        if (p.mask.at(y + dy, x + dx) != 0) continue;
        inside += p.image.at(y, x);
        beside += p.image.at(y + dy, x + dx);
        ++n;
      }
    }
    ASSERT_GT(n, 0) << seed;
    EXPECT_LT(inside / n, 0.9 * beside / n) << seed;
  }
}

TEST(MakePhantom, StenosesReachTheirDepth) {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Phantom p = make_phantom({.size = 512, .stenosis = true}, seed);
    for (const Stenosis& s : p.stenoses) {
      EXPECT_NEAR(s.minimal_diameter_mm, s.reference_diameter_mm * (1 - s.percent / 100), 1e-9);
      double narrowest = 1e9;
      for (const CentrelinePoint& q : p.branches[static_cast<std::size_t>(s.branch)].points) {
        if (std::hypot(q.y - s.y, q.x - s.x) < 1) narrowest = std::min(narrowest, q.diameter_mm);
      }
      EXPECT_NEAR(narrowest, s.minimal_diameter_mm, 0.02);
      ++found;
    }
  }
  EXPECT_GE(found, 6);
  EXPECT_TRUE(make_phantom({.size = 128}, 1).stenoses.empty());
}

TEST(MakeTube, AreaIsLengthTimesDiameterPlusTheCaps) {
  // Along the grid or its diagonal whole rows of pixel centres lie just inside or outside; at these angles they do not.
  for (const double angle : {17.0, 33.0, 61.0, 74.0}) {
    for (const double diameter : {3.0, 8.0, 15.0}) {
      const Tube tube = make_tube(
          {.height = 127, .width = 127, .diameter_px = diameter, .end_diameter_px = diameter, .angle_deg = angle});
      const double expected = 90 * diameter + std::numbers::pi * diameter * diameter / 4;
      EXPECT_NEAR(area_of(tube.mask), expected, 0.04 * expected) << angle << " " << diameter;
    }
  }
}

TEST(MakeTube, TaperBendAndStenosisAreWhereTheyShouldBe) {
  const Tube tube = make_tube({.diameter_px = 12, .end_diameter_px = 6, .bend_px = 20, .stenosis_percent = 50});
  EXPECT_DOUBLE_EQ(tube.points.front().diameter_px, 12);
  EXPECT_DOUBLE_EQ(tube.points.back().diameter_px, 6);
  const CentrelinePoint& middle = tube.points[tube.points.size() / 2];
  EXPECT_NEAR(middle.diameter_px, 4.5, 0.01);
  EXPECT_NEAR(middle.y, 63.5 - 20, 0.01);
  EXPECT_THROW(make_tube({.diameter_px = 0}), Error);
  EXPECT_THROW(make_tube({.stenosis_percent = 100}), Error);
}

TEST(Options, AreChecked) {
  EXPECT_THROW(make_phantom({.size = 32}, 1), Error);
  EXPECT_THROW(make_phantom({.size = 4096}, 1), Error);
  EXPECT_THROW(make_phantom({.size = 128, .photons = 0}, 1), Error);
}

}  // namespace
}  // namespace cmunet::phantom
