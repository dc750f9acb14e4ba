// SPDX-License-Identifier: Apache-2.0
// The tree of centre lines on shapes whose tree is obvious.
#include "cmunet/vessel/centreline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"

namespace cmunet::vessel {
namespace {

void draw_line(image::Mask& mask, double y0, double x0, double y1, double x1, double width) {
  const double length2 = (y1 - y0) * (y1 - y0) + (x1 - x0) * (x1 - x0);
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      const double t = std::clamp(((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length2, 0.0, 1.0);
      if (std::hypot(y - y0 - t * (y1 - y0), x - x0 - t * (x1 - x0)) <= width / 2) mask.at(y, x) = 1;
    }
  }
}

image::Mask fork() {
  image::Mask mask(120, 120);
  draw_line(mask, 60, 5, 60, 60, 9);
  draw_line(mask, 60, 60, 20, 110, 7);
  draw_line(mask, 60, 60, 105, 105, 7);
  return mask;
}

Tree trace(const image::Mask& mask) { return trace_centrelines(lumen_of(mask)); }

double length_px(const Segment& segment) {
  double length = 0;
  for (std::size_t i = 1; i < segment.points.size(); ++i) {
    length += std::hypot(segment.points[i].y - segment.points[i - 1].y, segment.points[i].x - segment.points[i - 1].x);
  }
  return length;
}

Node& node(Tree& tree, int index) { return tree.nodes[static_cast<std::size_t>(index)]; }

bool is_spur(Tree& tree, const Segment& segment, const image::ImageF& inscribed) {
  if (segment.from == segment.to) return false;
  const Node &a = node(tree, segment.from), &b = node(tree, segment.to);
  if ((a.degree == 1) == (b.degree == 1)) return false;
  const image::PointF& root = a.degree == 1 ? segment.points.back() : segment.points.front();
  const double radius = inscribed.at(static_cast<int>(root.y), static_cast<int>(root.x));
  return length_px(segment) <= 2 * radius + 1;
}

bool remove_shortest_spur(Tree& tree, const image::ImageF& inscribed) {
  auto shortest = tree.segments.end();
  for (auto s = tree.segments.begin(); s != tree.segments.end(); ++s) {
    if (!is_spur(tree, *s, inscribed)) continue;
    if (shortest == tree.segments.end() || length_px(*s) < length_px(*shortest)) shortest = s;
  }
  if (shortest == tree.segments.end()) return false;
  --node(tree, shortest->from).degree;
  --node(tree, shortest->to).degree;
  tree.segments.erase(shortest);
  return true;
}

// Joins the two segments that meet at a node where nothing else does.
bool join_through(Tree& tree, int index) {
  std::vector<std::size_t> ends;
  for (std::size_t s = 0; s < tree.segments.size(); ++s) {
    if (tree.segments[s].from == index || tree.segments[s].to == index) ends.push_back(s);
  }
  if (node(tree, index).degree != 2 || ends.size() != 2) return false;
  Segment &a = tree.segments[ends[0]], &b = tree.segments[ends[1]];
  if (a.to != index) {
    std::ranges::reverse(a.points);
    std::swap(a.from, a.to);
  }
  if (b.from != index) {
    std::ranges::reverse(b.points);
    std::swap(b.from, b.to);
  }
  a.points.insert(a.points.end(), b.points.begin() + (a.points.back() == b.points.front() ? 1 : 0), b.points.end());
  a.to = b.to;
  node(tree, index).degree = 0;
  tree.segments.erase(tree.segments.begin() + static_cast<std::ptrdiff_t>(ends[1]));
  return true;
}

// As trace_centrelines describes it, by a search through everything after each removal.
std::vector<Segment> pruned_slowly(const Lumen& lumen) {
  Tree tree = trace_skeleton(lumen);
  while (remove_shortest_spur(tree, lumen.inscribed)) {
    for (std::size_t i = 0; i < tree.nodes.size(); ++i) join_through(tree, static_cast<int>(i));
  }
  std::ranges::stable_sort(tree.segments, std::greater<>(), length_px);
  return tree.segments;
}

TEST(TraceCentrelines, ABifurcationHasThreeSegmentsAndNoSpurs) {
  image::Mask mask = fork();
  mask.at(55, 30) = mask.at(54, 30) = mask.at(54, 31) = 1;  // a bump on the wall
  const Tree tree = trace(mask);
  ASSERT_EQ(tree.segments.size(), 3U);
  ASSERT_EQ(tree.nodes.size(), 4U);
  int junctions = 0;
  for (const Node& node : tree.nodes) {
    if (node.degree != 3) continue;
    ++junctions;
    EXPECT_NEAR(node.position.y, 60, 3);
    EXPECT_NEAR(node.position.x, 60, 4);
  }
  EXPECT_EQ(junctions, 1);
  for (const Segment& segment : tree.segments) {
    EXPECT_GT(segment.points.size(), 40U);
    for (std::size_t i = 1; i < segment.points.size(); ++i) {
      const image::PointF &a = segment.points[i - 1], &b = segment.points[i];
      EXPECT_LE(std::hypot(b.y - a.y, b.x - a.x), 3.0);
    }
  }
}

TEST(TraceCentrelines, ARingIsALoop) {
  image::Mask mask(60, 60);
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 60; ++x) {
      const double r = std::hypot(y - 30, x - 30);
      mask.at(y, x) = r > 17 && r < 23 ? 1 : 0;
    }
  }
  const Tree tree = trace(mask);
  ASSERT_EQ(tree.segments.size(), 1U);
  EXPECT_EQ(tree.segments[0].from, tree.segments[0].to);
  EXPECT_GT(tree.segments[0].points.size(), 80U);
}

TEST(TraceCentrelines, SmallHolesMakeNoLoops) {
  image::Mask mask(40, 100);
  draw_line(mask, 20, 10, 20, 90, 12);
  mask.at(20, 50) = mask.at(20, 51) = mask.at(21, 50) = 0;
  const Tree tree = trace(mask);
  ASSERT_EQ(tree.segments.size(), 1U);
  EXPECT_NE(tree.segments[0].from, tree.segments[0].to);
}

TEST(TraceCentrelines, OfNothingIsNothing) {
  EXPECT_TRUE(trace(image::Mask(20, 20)).segments.empty());
  image::Mask dot(20, 20);
  dot.at(5, 5) = 1;
  EXPECT_TRUE(trace(dot).segments.empty());
}

TEST(TraceCentrelines, PruningIsThatOfASearchThroughEverything) {
  Rng rng(3);
  for (const double density : {0.35, 0.5, 0.6, 0.75}) {
    image::Mask mask(70, 90);
    for (std::uint8_t& pixel : mask) pixel = rng.bernoulli(density) ? 1 : 0;
    draw_line(mask, 10, 10, 60, 80, 9);
    const Lumen lumen = lumen_of(mask);
    const std::vector<Segment> slow = pruned_slowly(lumen);
    const Tree tree = trace_centrelines(lumen);
    ASSERT_EQ(tree.segments.size(), slow.size());
    EXPECT_LT(slow.size(), trace_skeleton(lumen).segments.size());
    for (std::size_t i = 0; i < slow.size(); ++i) EXPECT_EQ(tree.segments[i].points, slow[i].points) << i;
    std::vector<int> degrees(tree.nodes.size(), 0);
    for (const Segment& segment : tree.segments) {
      ++degrees.at(static_cast<std::size_t>(segment.from)), ++degrees.at(static_cast<std::size_t>(segment.to));
    }
    for (std::size_t n = 0; n < degrees.size(); ++n) EXPECT_EQ(tree.nodes[n].degree, degrees[n]) << n;
  }
}

TEST(FindPath, GoesThroughTheBifurcation) {
  const Tree tree = trace(fork());
  const Path path = find_path(tree, {25, 100}, {100, 100});
  EXPECT_NEAR(path.points.front().y, 27, 5);
  EXPECT_NEAR(path.points.back().y, 99, 5);
  ASSERT_EQ(path.nodes.size(), 1U);
  EXPECT_EQ(tree.nodes[static_cast<std::size_t>(path.nodes[0])].degree, 3);
  for (const image::PointF& p : path.points) EXPECT_GT(p.x, 55);  // not into the third branch
  const Path back = find_path(tree, {100, 100}, {25, 100});
  EXPECT_EQ(back.points.size(), path.points.size());
  EXPECT_EQ(back.points.front(), path.points.back());
}

TEST(FindPath, NeedsAConnection) {
  image::Mask mask = fork();
  draw_line(mask, 5, 5, 5, 50, 5);
  const Tree tree = trace(mask);
  EXPECT_THROW(find_path(tree, {5, 20}, {60, 20}), Error);
  EXPECT_THROW(find_path(Tree(), {5, 20}, {60, 20}), Error);
}

}  // namespace
}  // namespace cmunet::vessel
