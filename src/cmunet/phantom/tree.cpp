// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/tree.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cmunet::phantom {
namespace {

constexpr double kStepMm = 0.25;
constexpr double kThinnestMm = 0.32;    // radius at which a branch ends
constexpr Vec3 kHeartMm{36, 46, 38};    // half axes of the ellipsoid: x to the patient's left, y down, z to the front
constexpr std::size_t kMostBranches = 90;

Vec3 operator+(const Vec3& a, const Vec3& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }
Vec3 operator*(double s, const Vec3& a) { return {s * a[0], s * a[1], s * a[2]}; }
double dot(const Vec3& a, const Vec3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Vec3 cross(const Vec3& a, const Vec3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
Vec3 unit(const Vec3& a) { return (1 / std::sqrt(dot(a, a))) * a; }

// Where a vessel is and where it goes: a point of the unit sphere and a tangent.
struct Heading {
  Vec3 at;
  Vec3 forward;
};

Heading turned(const Heading& h, double angle) {
  return {h.at, unit(std::cos(angle) * h.forward + std::sin(angle) * cross(h.at, h.forward))};
}

Heading advanced(const Heading& h, double step) {
  const Vec3 at = unit(h.at + step * h.forward);
  return {at, unit(h.forward + (-dot(h.forward, at)) * at)};
}

Vec3 on_heart(const Vec3& at) { return {kHeartMm[0] * at[0], kHeartMm[1] * at[1], kHeartMm[2] * at[2]}; }

// What is still to be grown.
struct Bud {
  int parent = -1;
  bool continues_parent = false;
  Heading heading;
  double radius_mm = 0;
  double from_ostium_mm = 0;
  double bend_per_mm = 0;   // steady turn: the C of a right coronary, the sweep of a circumflex
  double length_mm = 0;     // left for this vessel, over all its bifurcations
};

class Grower {
 public:
  explicit Grower(Rng& rng) : rng_(rng) {}

  std::vector<TreeBranch> grow(std::vector<Bud> buds) {
    while (!buds.empty() && tree_.size() < kMostBranches) {
      // Widest first, so that the limit on branches cuts twigs.
      const auto widest = std::max_element(buds.begin(), buds.end(),
                                           [](const Bud& a, const Bud& b) { return a.radius_mm < b.radius_mm; });
      const Bud bud = *widest;
      buds.erase(widest);
      grow_branch(bud, buds);
    }
    return std::move(tree_);
  }

 private:
  void grow_branch(Bud bud, std::vector<Bud>& buds) {
    TreeBranch branch{bud.parent, bud.continues_parent, {}};
    const double until_mm = std::min(bud.length_mm, rng_.uniform(5, 15) * (bud.radius_mm > 1 ? 1.2 : 1.0));
    const double taper_per_mm = rng_.uniform(0.003, 0.008);
    const double wave_mm = rng_.uniform(14, 34), phase = rng_.uniform(0, 2 * std::numbers::pi);
    const double swing = rng_.uniform(0.01, 0.045);  // tortuosity
    double radius = bud.radius_mm, walked = 0;
    Heading h = bud.heading;
    for (;;) {
      branch.points.push_back({on_heart(h.at), radius, bud.from_ostium_mm + walked});
      if (walked >= until_mm || radius < kThinnestMm) break;
      const double turn = bud.bend_per_mm + swing * std::sin(2 * std::numbers::pi * walked / wave_mm + phase) +
                          0.02 * rng_.normal();
      const Vec3 before = on_heart(h.at);
      h = advanced(turned(h, turn * kStepMm), kStepMm / 40);
      const Vec3 move = on_heart(h.at) + (-1.0) * before;
      const double moved = std::sqrt(dot(move, move));
      walked += moved;
      radius *= std::exp(-taper_per_mm * moved);
    }
    if (branch.points.size() < 2) return;
    const int index = static_cast<int>(tree_.size());
    tree_.push_back(std::move(branch));
    const double left_mm = bud.length_mm - walked;
    if (radius < 1.3 * kThinnestMm || left_mm < 3) return;
    bifurcate(bud, index, h, radius, bud.from_ostium_mm + walked, left_mm, buds);
  }

  void bifurcate(const Bud& bud, int index, const Heading& h, double radius, double from_ostium_mm, double left_mm,
                 std::vector<Bud>& buds) {
    const double side = radius * rng_.uniform(0.42, 0.72);
    const double main = std::cbrt(radius * radius * radius - side * side * side);
    const double sign = rng_.bernoulli(0.5) ? 1 : -1;
    const double side_angle = rng_.uniform(0.5, 1.1);
    buds.push_back({index, true, turned(h, -sign * rng_.uniform(0.02, 0.18)), main, from_ostium_mm, bud.bend_per_mm,
                    left_mm});
    buds.push_back({index, false, turned(h, sign * side_angle), side, from_ostium_mm, rng_.uniform(-0.01, 0.01),
                    std::min(left_mm, rng_.uniform(18, 60))});
  }

  Rng& rng_;
  std::vector<TreeBranch> tree_;
};

Heading heading_at(const Vec3& at, const Vec3& towards) {
  const Vec3 p = unit(at);
  return {p, unit(towards + (-dot(towards, p)) * p)};
}

}  // namespace

std::vector<TreeBranch> grow_tree(Artery artery, Rng& rng) {
  Grower grower(rng);
  if (artery == Artery::kRight) {
    Bud trunk;
    trunk.heading = heading_at({-0.35, -0.75, 0.55}, {-1, 0.15, 0.1});
    trunk.radius_mm = rng.uniform(1.5, 2.0);
    trunk.bend_per_mm = -rng.uniform(0.004, 0.012);
    trunk.length_mm = rng.uniform(125, 165);
    return grower.grow({trunk});
  }
  Bud main;  // left main, which divides into the anterior descending and the circumflex artery
  main.heading = heading_at({0.1, -0.8, 0.5}, {1, 0.2, 0.2});
  main.radius_mm = rng.uniform(1.9, 2.3);
  main.length_mm = rng.uniform(110, 150);
  main.bend_per_mm = rng.uniform(0.006, 0.016);
  return grower.grow({main});
}

double bump(double d, double length) {
  const double t = std::abs(d) / (length / 2);
  return t >= 1 ? 0 : 0.5 * (1 + std::cos(std::numbers::pi * t));
}

std::vector<TreeStenosis> add_stenoses(std::vector<TreeBranch>& tree, Rng& rng) {
  std::vector<int> candidates;  // long enough, and wide enough to matter
  for (std::size_t b = 0; b < tree.size(); ++b) {
    const auto& points = tree[b].points;
    if (points.back().from_ostium_mm - points.front().from_ostium_mm > 7 && points.back().radius_mm > 0.75) {
      candidates.push_back(static_cast<int>(b));
    }
  }
  std::vector<TreeStenosis> made;
  const auto wanted = static_cast<std::size_t>(rng.integer(1, 3));
  for (const std::int64_t pick : rng.permutation(static_cast<std::int64_t>(candidates.size()))) {
    if (made.size() == wanted) break;
    const int b = candidates[static_cast<std::size_t>(pick)];
    auto& points = tree[static_cast<std::size_t>(b)].points;
    const double branch_mm = points.back().from_ostium_mm - points.front().from_ostium_mm;
    TreeStenosis s{b, points.size() / 2, rng.uniform(4, std::min(12.0, branch_mm - 1)), rng.uniform(30, 85), 0, 0};
    s.reference_diameter_mm = 2 * points[s.point].radius_mm;
    const double middle = points[s.point].from_ostium_mm;
    for (TreePoint& p : points) p.radius_mm *= 1 - s.percent / 100 * bump(p.from_ostium_mm - middle, s.length_mm);
    s.minimal_diameter_mm = 2 * points[s.point].radius_mm;
    made.push_back(s);
  }
  return made;
}

}  // namespace cmunet::phantom
