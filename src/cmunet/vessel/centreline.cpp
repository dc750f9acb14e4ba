// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/centreline.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "cmunet/image/thinning.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

struct Step {
  int dy, dx;
};
// 4-neighbours first: a walk does not cut the corners of a staircase.
constexpr Step kSteps[8] = {{-1, 0}, {0, 1}, {1, 0}, {0, -1}, {-1, -1}, {-1, 1}, {1, 1}, {1, -1}};

std::vector<PointF> neighbours(const image::Mask& skeleton, int y, int x) {
  std::vector<PointF> found;
  for (const auto& [dy, dx] : kSteps) {
    if (!skeleton.contains(y + dy, x + dx) || skeleton.at(y + dy, x + dx) == 0) continue;
    // A diagonal neighbour that a 4-neighbour leads to already is no way of its own.
    const bool diagonal = dy != 0 && dx != 0;
    if (diagonal && (skeleton.at(y + dy, x) != 0 || skeleton.at(y, x + dx) != 0)) continue;
    found.push_back({y + dy + 0.0, x + dx + 0.0});
  }
  return found;
}

// Follows the skeleton from node to node. Neighbouring pixels of a junction are one node.
class Tracer {
 public:
  explicit Tracer(image::Mask skeleton)
      : skeleton_(std::move(skeleton)), node_of_(skeleton_.height(), skeleton_.width(), -1) {}

  Tree trace() {
    find_nodes();
    for (std::size_t i = 0; i < node_pixels_.size(); ++i) {
      for (const PointF& pixel : node_pixels_[i]) leave(static_cast<int>(i), pixel);
    }
    close_loops();
    return std::move(tree_);
  }

 private:
  static int row(const PointF& p) { return static_cast<int>(p.y); }
  static int column(const PointF& p) { return static_cast<int>(p.x); }

  void find_nodes() {
    for (int y = 0; y < skeleton_.height(); ++y) {
      for (int x = 0; x < skeleton_.width(); ++x) {
        if (skeleton_.at(y, x) == 0 || node_of_.at(y, x) >= 0 || neighbours(skeleton_, y, x).size() == 2) continue;
        add_node(y, x);
      }
    }
  }

  void add_node(int y, int x) {
    const int id = static_cast<int>(tree_.nodes.size());
    std::vector<PointF> pixels{{y + 0.0, x + 0.0}};
    node_of_.at(y, x) = id;
    const bool junction = neighbours(skeleton_, y, x).size() > 2;
    for (std::size_t i = 0; junction && i < pixels.size(); ++i) {
      for (const PointF& p : neighbours(skeleton_, row(pixels[i]), column(pixels[i]))) {
        if (node_of_.at(row(p), column(p)) >= 0 || neighbours(skeleton_, row(p), column(p)).size() <= 2) continue;
        node_of_.at(row(p), column(p)) = id;
        pixels.push_back(p);
      }
    }
    PointF middle;
    for (const PointF& p : pixels) {
      middle.y += p.y / static_cast<double>(pixels.size());
      middle.x += p.x / static_cast<double>(pixels.size());
    }
    tree_.nodes.push_back({middle, 0});
    node_pixels_.push_back(std::move(pixels));
  }

  void leave(int node, const PointF& from) {
    for (const PointF& first : neighbours(skeleton_, row(from), column(from))) {
      const int other = node_of_.at(row(first), column(first));
      if (other == node || (other < 0 && visited(first))) continue;
      if (other >= 0 && other < node) continue;  // neighbouring nodes: followed from the lower one
      walk(node, from, first);
    }
  }

  bool visited(const PointF& p) const { return skeleton_.at(row(p), column(p)) == 2; }

  void walk(int node, const PointF& from, const PointF& first) {
    Segment segment{node, -1, {from}};
    PointF previous = from, current = first;
    while (true) {
      segment.points.push_back(current);
      if (const int reached = node_of_.at(row(current), column(current)); reached >= 0) {
        segment.to = reached;
        break;
      }
      skeleton_.at(row(current), column(current)) = 2;
      PointF next = current;
      for (const PointF& p : neighbours(skeleton_, row(current), column(current))) {
        if (!(p == previous) && !(visited(p) && node_of_.at(row(p), column(p)) < 0)) next = p;
      }
      if (next == current) {  // back at its own beginning
        segment.to = node;
        break;
      }
      previous = current, current = next;
    }
    add(std::move(segment));
  }

  // Rings without a node: any of their pixels becomes one.
  void close_loops() {
    for (int y = 0; y < skeleton_.height(); ++y) {
      for (int x = 0; x < skeleton_.width(); ++x) {
        if (skeleton_.at(y, x) != 1 || node_of_.at(y, x) >= 0) continue;
        const int id = static_cast<int>(tree_.nodes.size());
        tree_.nodes.push_back({{y + 0.0, x + 0.0}, 0});
        node_of_.at(y, x) = id;
        walk(id, tree_.nodes.back().position, neighbours(skeleton_, y, x).front());
      }
    }
  }

  void add(Segment segment) {
    ++tree_.nodes[static_cast<std::size_t>(segment.from)].degree;
    ++tree_.nodes[static_cast<std::size_t>(segment.to)].degree;
    tree_.segments.push_back(std::move(segment));
  }

  image::Mask skeleton_;  // 0, 1, or 2 once it belongs to a segment
  image::Image<int> node_of_;
  std::vector<std::vector<PointF>> node_pixels_;
  Tree tree_;
};

double length_px(const Segment& segment) {
  double length = 0;
  for (std::size_t i = 1; i < segment.points.size(); ++i) {
    length += std::hypot(segment.points[i].y - segment.points[i - 1].y, segment.points[i].x - segment.points[i - 1].x);
  }
  return length;
}

// Removes spurs, shortest first, and joins what then runs through. A mask of noise has tens of thousands of them, so
// each step looks at the segments around it alone; centreline_test.cpp has the same as a search through all.
class Pruner {
 public:
  Pruner(Tree& tree, const image::ImageF& inscribed)
      : tree_(tree), inscribed_(inscribed), is_gone_(tree.segments.size(), false), incident_(tree.nodes.size()) {
    for (std::size_t s = 0; s < tree.segments.size(); ++s) {
      incident_[index(tree.segments[s].from)].push_back(s);
      if (tree.segments[s].to != tree.segments[s].from) incident_[index(tree.segments[s].to)].push_back(s);
      offer(s);
    }
  }

  void prune() {
    bool is_first = true;
    while (const auto spur = next_spur()) {
      const int from = tree_.segments[*spur].from, to = tree_.segments[*spur].to;
      is_gone_[*spur] = true;
      --node(from).degree, --node(to).degree;
      if (is_first) {  // nodes through which a vessel runs from the beginning
        for (int n = 0; n < static_cast<int>(tree_.nodes.size()); ++n) join_through(n);
      } else {
        join_through(std::min(from, to));
        join_through(std::max(from, to));
      }
      is_first = false;
      for (const int n : {from, to}) {
        for (const std::size_t s : incident_[index(n)]) offer(s);
      }
    }
    std::size_t s = 0;
    std::erase_if(tree_.segments, [&](const Segment&) { return is_gone_[s++]; });
  }

 private:
  using Candidate = std::pair<double, std::size_t>;  // length and index: of equal ones the first

  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  Node& node(int i) { return tree_.nodes[index(i)]; }

  // An end piece is a spur when it does not reach beyond the wall of the vessel that it leaves by a vessel's width.
  bool is_spur(const Segment& segment, double length) {
    if (segment.from == segment.to) return false;
    const Node &a = node(segment.from), &b = node(segment.to);
    if ((a.degree == 1) == (b.degree == 1)) return false;
    const PointF& root = a.degree == 1 ? segment.points.back() : segment.points.front();
    const double radius = inscribed_.at(static_cast<int>(root.y), static_cast<int>(root.x));
    return length <= 2 * radius + 1;
  }

  void offer(std::size_t s) {
    if (is_gone_[s]) return;
    const double length = length_px(tree_.segments[s]);
    if (is_spur(tree_.segments[s], length)) candidates_.emplace(length, s);
  }

  // What was offered may have been joined, or have lost its other end, since.
  std::optional<std::size_t> next_spur() {
    while (!candidates_.empty()) {
      const auto [length, s] = candidates_.top();
      candidates_.pop();
      if (!is_gone_[s] && length == length_px(tree_.segments[s]) && is_spur(tree_.segments[s], length)) return s;
    }
    return std::nullopt;
  }

  // Joins the two segments that meet at a node where nothing else does.
  void join_through(int n) {
    if (node(n).degree != 2) return;
    std::vector<std::size_t>& ends = incident_[index(n)];
    std::erase_if(ends, [this](std::size_t s) { return is_gone_[s]; });
    if (ends.size() != 2) return;
    const auto [first, second] = std::minmax(ends[0], ends[1]);
    Segment &a = tree_.segments[first], &b = tree_.segments[second];
    if (a.to != n) {
      std::ranges::reverse(a.points);
      std::swap(a.from, a.to);
    }
    if (b.from != n) {
      std::ranges::reverse(b.points);
      std::swap(b.from, b.to);
    }
    a.points.insert(a.points.end(), b.points.begin() + (a.points.back() == b.points.front() ? 1 : 0), b.points.end());
    a.to = b.to;
    node(n).degree = 0;
    is_gone_[second] = true;
    if (a.to != a.from) incident_[index(a.to)].push_back(first);
    offer(first);
  }

  Tree& tree_;
  const image::ImageF& inscribed_;
  std::vector<bool> is_gone_;                       // by segment
  std::vector<std::vector<std::size_t>> incident_;  // segments by node, also some that are gone
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates_;
};

void drop_unused_nodes(Tree& tree) {
  std::vector<int> renamed(tree.nodes.size(), -1);
  std::vector<Node> kept;
  for (std::size_t i = 0; i < tree.nodes.size(); ++i) {
    if (tree.nodes[i].degree == 0) continue;
    renamed[i] = static_cast<int>(kept.size());
    kept.push_back(tree.nodes[i]);
  }
  for (Segment& segment : tree.segments) {
    segment.from = renamed[static_cast<std::size_t>(segment.from)];
    segment.to = renamed[static_cast<std::size_t>(segment.to)];
  }
  tree.nodes = std::move(kept);
}

}  // namespace

Tree trace_skeleton(const Lumen& lumen) { return Tracer(image::thin_connected(lumen.mask)).trace(); }

Tree trace_centrelines(const Lumen& lumen) {
  Tree tree = trace_skeleton(lumen);
  Pruner(tree, lumen.inscribed).prune();
  drop_unused_nodes(tree);
  std::ranges::stable_sort(tree.segments, std::greater<>(), length_px);
  return tree;
}

}  // namespace cmunet::vessel
