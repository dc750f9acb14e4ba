// SPDX-License-Identifier: Apache-2.0
// Dijkstra's algorithm over the points of a tree's centre lines.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <queue>
#include <utility>

#include "cmunet/base/error.h"
#include "cmunet/vessel/centreline.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

double distance(const PointF& a, const PointF& b) { return std::hypot(b.y - a.y, b.x - a.x); }

// Nodes of the tree first, then the inner points of each segment.
struct Network {
  explicit Network(const Tree& tree) {
    for (const Node& node : tree.nodes) add(node.position);
    for (const Segment& segment : tree.segments) {
      auto before = static_cast<std::size_t>(segment.from);
      for (std::size_t i = 1; i + 1 < segment.points.size(); ++i) {
        add(segment.points[i]);
        join(before, points.size() - 1);
        before = points.size() - 1;
      }
      join(before, static_cast<std::size_t>(segment.to));
    }
  }

  std::size_t nearest(const PointF& p) const {
    const auto closer = [&p](const PointF& a, const PointF& b) { return distance(a, p) < distance(b, p); };
    return static_cast<std::size_t>(std::min_element(points.begin(), points.end(), closer) - points.begin());
  }

  std::vector<PointF> points;
  std::vector<std::vector<std::size_t>> neighbours;

 private:
  void add(const PointF& p) {
    points.push_back(p);
    neighbours.emplace_back();
  }
  void join(std::size_t a, std::size_t b) {
    neighbours[a].push_back(b);
    neighbours[b].push_back(a);
  }
};

// For each point the one after it on the shortest way to `goal`; its own index at the goal, and where there is no way.
std::vector<std::size_t> ways_to(const Network& network, std::size_t goal) {
  std::vector<std::size_t> next(network.points.size());
  for (std::size_t i = 0; i < next.size(); ++i) next[i] = i;
  std::vector<double> length(next.size(), std::numeric_limits<double>::infinity());
  using Entry = std::pair<double, std::size_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  length[goal] = 0;
  open.emplace(0, goal);
  while (!open.empty()) {
    const auto [so_far, at] = open.top();
    open.pop();
    if (so_far > length[at]) continue;
    for (const std::size_t neighbour : network.neighbours[at]) {
      const double longer = so_far + distance(network.points[at], network.points[neighbour]);
      if (longer >= length[neighbour]) continue;
      length[neighbour] = longer;
      next[neighbour] = at;
      open.emplace(longer, neighbour);
    }
  }
  return next;
}

}  // namespace

Path find_path(const Tree& tree, const PointF& from, const PointF& to) {
  CMUNET_CHECK(!tree.nodes.empty(), ErrorCode::kNotFound, "[measure] there is no vessel for a path");
  const Network network(tree);
  const std::size_t start = network.nearest(from), goal = network.nearest(to);
  const std::vector<std::size_t> next = ways_to(network, goal);
  Path path;
  for (std::size_t at = start;; at = next[at]) {
    path.points.push_back(network.points[at]);
    if (at < tree.nodes.size() && tree.nodes[at].degree > 2) path.nodes.push_back(static_cast<int>(at));
    if (at == goal) return path;
    CMUNET_CHECK(next[at] != at, ErrorCode::kNotFound, "[measure] the vessels nearest to (", from.y, ", ", from.x,
                 ") and (", to.y, ", ", to.x, ") are not connected; a path needs one vessel tree");
  }
}

}  // namespace cmunet::vessel
