// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>

namespace cmunet::phantom {
namespace {

constexpr double kThinnestMm = 0.6;

struct Grown {
  Heart heart;
  std::vector<TreeBranch> tree;
};

Grown grow(Artery artery, std::uint64_t seed, double thinnest_mm = kThinnestMm) {
  Rng heart_rng(seed), tree_rng(seed + 1000);
  const Heart heart = draw_heart(heart_rng);
  return {heart, grow_tree(artery, heart, thinnest_mm, tree_rng)};
}

class GrowTree : public ::testing::TestWithParam<std::tuple<Artery, std::uint64_t>> {
 protected:
  std::vector<TreeBranch> tree() const { return grow(std::get<0>(GetParam()), std::get<1>(GetParam())).tree; }
};

std::vector<const TreeBranch*> daughters_of(const std::vector<TreeBranch>& tree, std::size_t b) {
  std::vector<const TreeBranch*> found;
  for (const TreeBranch& other : tree) {
    if (other.parent == static_cast<int>(b)) found.push_back(&other);
  }
  return found;
}

TEST_P(GrowTree, FollowsMurraysLawAtEveryBifurcation) {
  const auto tree = this->tree();
  int bifurcations = 0;
  for (std::size_t b = 0; b < tree.size(); ++b) {
    const auto daughters = daughters_of(tree, b);
    if (daughters.empty()) continue;
    ASSERT_EQ(daughters.size(), 2U);
    EXPECT_NE(daughters[0]->continues_parent, daughters[1]->continues_parent);
    double cubes = 0;
    for (const TreeBranch* d : daughters) cubes += std::pow(d->points.front().radius_mm, 3);
    EXPECT_NEAR(cubes, std::pow(tree[b].points.back().radius_mm, 3), 1e-9);
    ++bifurcations;
  }
  EXPECT_GT(bifurcations, 12);
}

TEST_P(GrowTree, HangsTogether) {
  const auto tree = this->tree();
  EXPECT_EQ(tree.front().parent, -1);
  for (std::size_t b = 1; b < tree.size(); ++b) {
    ASSERT_GE(tree[b].parent, 0);
    ASSERT_LT(tree[b].parent, static_cast<int>(b));
    const TreePoint& fork = tree[static_cast<std::size_t>(tree[b].parent)].points.back();
    EXPECT_LT(norm(tree[b].points.front().position_mm - fork.position_mm), 1e-9);
    EXPECT_DOUBLE_EQ(tree[b].points.front().from_ostium_mm, fork.from_ostium_mm);
  }
}

TEST_P(GrowTree, RadiiOnlyFallDownstreamAndNotBelowTheThinnest) {
  for (const TreeBranch& branch : tree()) {
    ASSERT_GE(branch.points.size(), 2U);
    for (std::size_t i = 1; i < branch.points.size(); ++i) {
      EXPECT_LE(branch.points[i].radius_mm, branch.points[i - 1].radius_mm);
      EXPECT_NEAR(norm(branch.points[i].position_mm - branch.points[i - 1].position_mm), kStepMm, 0.1 * kStepMm);
    }
    EXPECT_GE(branch.points.back().radius_mm, kThinnestMm / 2);
  }
}

TEST_P(GrowTree, HasTheVesselsThatEverybodyHas) {
  std::set<std::string> names;
  for (const TreeBranch& branch : tree()) names.insert(branch.vessel);
  if (std::get<0>(GetParam()) == Artery::kRight) {
    EXPECT_TRUE(names.contains("RCA") && names.contains("PDA"));
  } else {
    EXPECT_TRUE(names.contains("LAD") && names.contains("LCX"));
  }
  EXPECT_TRUE(names.contains("side"));
}

INSTANTIATE_TEST_SUITE_P(Trees, GrowTree,
                         ::testing::Combine(::testing::Values(Artery::kRight, Artery::kLeft),
                                            ::testing::Range<std::uint64_t>(0, 6)));

TEST(GrowTreeCoarsely, LeavesOutThinVesselsAndTheOthersWhereTheyAre) {
  const auto fine = grow(Artery::kLeft, 3).tree, coarse = grow(Artery::kLeft, 3, 1.5).tree;
  EXPECT_LT(2 * coarse.size(), fine.size());
  const auto course_of = [](const std::vector<TreeBranch>& tree, const char* vessel) {
    std::vector<Vec3> course;
    for (const TreeBranch& b : tree) {
      if (b.vessel != vessel) continue;
      for (const TreePoint& p : b.points) course.push_back(p.position_mm);
    }
    return course;
  };
  for (const char* vessel : {"LAD", "LCX"}) {
    const auto whole = course_of(fine, vessel);
    for (const Vec3& p : course_of(coarse, vessel)) {
      EXPECT_TRUE(std::any_of(whole.begin(), whole.end(), [&](const Vec3& q) { return norm(p - q) < 1e-9; }));
    }
  }
}

TEST(Bump, IsOneInTheMiddleHalfAtAQuarterAndZeroAtTheEnds) {
  EXPECT_DOUBLE_EQ(bump(0, 8), 1);
  EXPECT_NEAR(bump(2, 8), 0.5, 1e-12);
  EXPECT_NEAR(bump(-2, 8), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(bump(4, 8), 0);
  EXPECT_DOUBLE_EQ(bump(-9, 8), 0);
}

std::vector<int> all_of(const std::vector<TreeBranch>& tree) {
  std::vector<int> all;
  for (std::size_t b = 0; b < tree.size(); ++b) all.push_back(static_cast<int>(b));
  return all;
}

TEST(AddStenoses, NarrowsByTheAskedShareOverTheAskedLength) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const auto healthy = grow(Artery::kLeft, seed).tree;
    auto tree = healthy;
    Rng rng(seed);
    const auto made = add_stenoses(tree, all_of(tree), 5, 60, rng);
    ASSERT_GE(made.size(), 1U);
    ASSERT_LE(made.size(), 3U);
    for (const TreeStenosis& s : made) {
      EXPECT_DOUBLE_EQ(s.percent, 60);
      EXPECT_DOUBLE_EQ(s.length_mm, 5);
      const auto& before = healthy[static_cast<std::size_t>(s.branch)].points;
      const auto& after = tree[static_cast<std::size_t>(s.branch)].points;
      EXPECT_NEAR(after[s.point].radius_mm, 0.4 * before[s.point].radius_mm, 1e-12);
      EXPECT_NEAR(s.minimal_diameter_mm, 0.4 * s.reference_diameter_mm, 1e-12);
      for (std::size_t i = 0; i < after.size(); ++i) {
        const double d = std::abs(after[i].from_ostium_mm - after[s.point].from_ostium_mm);
        if (d > 2.4 && d < 2.5) continue;  // next to nothing there
        EXPECT_EQ(after[i].radius_mm < before[i].radius_mm, d <= 2.4) << d;
      }
      // The ends are healthy, so that Murray's law stands.
      EXPECT_EQ(after.front().radius_mm, before.front().radius_mm);
      EXPECT_EQ(after.back().radius_mm, before.back().radius_mm);
    }
  }
}

TEST(AddStenoses, ShortensWhatDoesNotFit) {
  auto tree = grow(Artery::kRight, 1).tree;
  tree.resize(1);
  const double branch_mm = tree[0].points.back().from_ostium_mm;
  Rng rng(1);
  const auto made = add_stenoses(tree, {0}, 200, 50, rng);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_NEAR(made[0].length_mm, branch_mm - 1, 1e-9);
}

TEST(AddStenoses, NeedsACandidate) {
  auto tree = grow(Artery::kRight, 1).tree;
  Rng rng(1);
  EXPECT_TRUE(add_stenoses(tree, {}, 5, 50, rng).empty());
}

}  // namespace
}  // namespace cmunet::phantom
