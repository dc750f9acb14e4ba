// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/tree.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <utility>

#include "cmunet/phantom/anatomy.h"

namespace cmunet::phantom {
namespace {

constexpr double kThinnestSideMm = 0.36;    // radius of the thinnest side branch at its beginning
constexpr double kLeastGapMm = 2.5;         // between bifurcations, and before a vessel's end
constexpr double kRunOutMm = 40;            // end part of a vessel in which it thins out
constexpr std::size_t kMostBranches = 220;  // of a full tree about half
constexpr int kMostGenerations = 3;         // of unnamed side branches

// A vessel that is still to be grown along its course. It has its own random numbers: leaving out the thinnest vessels
// does not change the others.
struct Bud {
  Rng rng;
  int parent = -1;
  std::string vessel;
  std::vector<Vec3> course;
  const Route* route = nullptr;  // null for an unnamed side branch
  double radius_mm = 0;
  double taper_per_mm = 0;
  double from_ostium_mm = 0;
  int generation = 0;
};

// A bifurcation planned on a course.
struct Fork {
  std::size_t step = 0;
  const Offshoot* offshoot = nullptr;  // null for an unnamed side branch
};

// Named offshoots where the route says, unnamed side branches between them, no two too close.
std::vector<Fork> plan_forks(Bud& bud) {
  std::vector<Fork> forks;
  const auto steps = static_cast<double>(bud.course.size() - 1);
  const auto is_free = [&](double step) {
    const double gap = kLeastGapMm / kStepMm;
    return step >= gap && step <= steps - gap && std::none_of(forks.begin(), forks.end(), [&](const Fork& f) {
             return std::abs(static_cast<double>(f.step) - step) < gap;
           });
  };
  if (bud.route != nullptr) {
    for (const Offshoot& offshoot : bud.route->offshoots) {
      const bool exists = bud.rng.bernoulli(offshoot.probability);
      const double step = std::round((offshoot.at + bud.rng.uniform(-0.03, 0.03)) * steps);
      if (exists && is_free(step)) forks.push_back({static_cast<std::size_t>(step), &offshoot});
    }
  }
  if (bud.generation < kMostGenerations) {
    // The left main and the first bit of the right coronary give off no side branch.
    double s = bud.parent < 0 ? bud.rng.uniform(18, 26) : bud.rng.uniform(4, 12);
    for (; s < steps * kStepMm; s += bud.rng.uniform(4, 17)) {
      const double step = std::round(s / kStepMm);
      if (is_free(step)) forks.push_back({static_cast<std::size_t>(step), nullptr});
    }
  }
  std::sort(forks.begin(), forks.end(), [](const Fork& a, const Fork& b) { return a.step < b.step; });
  return forks;
}

class Grower {
 public:
  Grower(const Heart& heart, double thinnest_mm, Rng rng)
      : heart_(heart), thinnest_mm_(thinnest_mm), root_(rng), tortuosity_(std::pow(rng.uniform(), 1.5)) {}

  std::vector<TreeBranch> grow(const Route& route, double radius_mm) {
    plant(root_.fork(0), -1, route, heart_.at(route.places.front()), radius_mm, 0);
    for (; !buds_.empty(); buds_.pop_front()) grow_vessel(buds_.front());
    return std::move(tree_);
  }

 private:
  void plant(Rng rng, int parent, const Route& route, const Vec3& start, double radius_mm, double from_ostium_mm) {
    std::vector<Vec3> points{start};
    for (std::size_t i = 1; i < route.places.size(); ++i) {
      const Place& p = route.places[i];
      const double shift_deg = i == 1 ? 2 : 4;
      const Place near{p.latitude_deg + rng.uniform(-shift_deg, shift_deg),
                       p.longitude_deg + rng.uniform(-shift_deg, shift_deg), p.depth * rng.uniform(0.97, 1.03)};
      points.push_back(heart_.at(near));
    }
    std::vector<Vec3> course = wound(heart_, curve_through(points), tortuosity_, rng);
    const double taper = rng.uniform(0.0008, 0.0022) + (parent >= 0 ? 0.003 : 0);
    buds_.push_back({rng, parent, route.name, std::move(course), &route, radius_mm, taper, from_ostium_mm, 0});
  }

  void plant_side_branch(Rng rng, int parent, const Bud& bud, std::size_t step, double radius_mm,
                         double from_ostium_mm) {
    const Vec3 at = bud.course[step], along = unit(bud.course[step + 1] - bud.course[step - 1]);
    const Vec3 side = unit(cross(heart_.normal(at), along));
    // From the ring most branches run towards the apex; elsewhere to either side.
    const double sign = rng.bernoulli(0.5 + 0.35 * dot(side, heart_.apex_ward)) ? 1 : -1;
    const double angle = rng.uniform(0.6, 1.25), length_mm = rng.uniform(38, 78) * radius_mm;
    const double taper = std::log(radius_mm / thinnest_mm_) / length_mm * rng.uniform(0.4, 0.9);
    const Vec3 forward = std::cos(angle) * along + (sign * std::sin(angle)) * side;
    std::vector<Vec3> course = walk(heart_, at, forward, length_mm, tortuosity_, rng);
    buds_.push_back(
        {rng, parent, "side", std::move(course), nullptr, radius_mm, taper, from_ostium_mm, bud.generation + 1});
  }

  void grow_vessel(Bud& bud) {
    const std::vector<Fork> forks = plan_forks(bud);
    auto fork = forks.begin();
    tree_.push_back({bud.parent, false, bud.vessel, {}});
    double radius = bud.radius_mm;
    for (std::size_t step = 0; step < bud.course.size(); ++step) {
      const double from_ostium = bud.from_ostium_mm + static_cast<double>(step) * kStepMm;
      if (step > 0) radius *= std::exp(-kStepMm * taper_per_mm(bud, step, radius));
      if (radius < thinnest_mm_ && tree_.back().points.size() > 1) return;
      tree_.back().points.push_back({bud.course[step], radius, from_ostium});
      if (fork == forks.end() || fork->step != step) continue;
      const double main = bifurcate(bud, *fork++, radius, from_ostium);
      if (main == radius) continue;
      radius = main;
      const int parent = static_cast<int>(tree_.size()) - 1;
      tree_.push_back({parent, true, bud.vessel, {}});
      tree_.back().points.push_back({bud.course[step], radius, from_ostium});
    }
  }

  // Towards its end a vessel thins out to the thinnest.
  double taper_per_mm(const Bud& bud, std::size_t step, double radius) const {
    const double left_mm = static_cast<double>(bud.course.size() - step) * kStepMm;
    if (left_mm > kRunOutMm || radius <= thinnest_mm_) return bud.taper_per_mm;
    return std::max(bud.taper_per_mm, std::log(radius / thinnest_mm_) / left_mm * (1 - left_mm / kRunOutMm));
  }

  // Plants the side branch and returns the radius with which the vessel goes on; the same one when there is no room.
  double bifurcate(const Bud& bud, const Fork& fork, double radius, double from_ostium_mm) {
    Rng rng = bud.rng.fork(fork.step);
    const double ratio =
        fork.offshoot != nullptr ? fork.offshoot->ratio * rng.uniform(0.9, 1.1) : rng.uniform(0.28, 0.5);
    const double side = std::max(kThinnestSideMm, std::min(0.9, ratio) * radius);
    const double main = std::cbrt(radius * radius * radius - side * side * side);
    const bool has_room = tree_.size() + buds_.size() < kMostBranches;
    if (std::min(side, main) < 1.2 * thinnest_mm_ || side > 0.9 * radius || !has_room) return radius;
    const int parent = static_cast<int>(tree_.size()) - 1;
    if (fork.offshoot != nullptr) {
      plant(rng, parent, fork.offshoot->route, bud.course[fork.step], side, from_ostium_mm);
    } else {
      plant_side_branch(rng, parent, bud, fork.step, side, from_ostium_mm);
    }
    return main;
  }

  const Heart& heart_;
  double thinnest_mm_;  // radius at which a vessel ends
  Rng root_;
  double tortuosity_;  // of this patient's vessels
  std::deque<Bud> buds_;
  std::vector<TreeBranch> tree_;
};

double length_of(const TreeBranch& branch) {
  return branch.points.back().from_ostium_mm - branch.points.front().from_ostium_mm;
}

}  // namespace

std::vector<TreeBranch> grow_tree(Artery artery, const Heart& heart, double thinnest_diameter_mm, Rng& rng) {
  // Diameters of adults: about 3.5 mm right, 4.5 mm left main (Dodge et al., Circulation 1992).
  const double radius_mm = artery == Artery::kRight ? rng.uniform(1.55, 2.05) : rng.uniform(1.85, 2.25);
  return Grower(heart, thinnest_diameter_mm / 2, rng.fork(1)).grow(route_of(artery), radius_mm);
}

double bump(double d, double length) {
  const double t = std::abs(d) / (length / 2);
  return t >= 1 ? 0 : 0.5 * (1 + std::cos(std::numbers::pi * t));
}

std::vector<TreeStenosis> add_stenoses(std::vector<TreeBranch>& tree, std::vector<int> candidates,
                                       std::optional<double> length_mm, std::optional<double> percent, Rng& rng) {
  constexpr double kMarginMm = 0.5;  // healthy at both ends
  const auto branch_at = [&](int b) -> TreeBranch& { return tree[static_cast<std::size_t>(b)]; };
  std::erase_if(candidates, [&](int b) {
    return branch_at(b).points.back().radius_mm < 0.75 || length_of(branch_at(b)) < 4 + 2 * kMarginMm;
  });
  double longest_mm = 0;
  for (const int b : candidates) longest_mm = std::max(longest_mm, length_of(branch_at(b)) - 2 * kMarginMm);
  std::vector<TreeStenosis> made;
  const auto wanted = static_cast<std::size_t>(rng.integer(1, 3));
  for (const std::int64_t pick : rng.permutation(static_cast<std::int64_t>(candidates.size()))) {
    if (made.size() == wanted) break;
    const int b = candidates[static_cast<std::size_t>(pick)];
    auto& points = branch_at(b).points;
    const double room_mm = length_of(branch_at(b)) - 2 * kMarginMm;
    const double length = std::min(length_mm.value_or(rng.uniform(4, std::min(14.0, room_mm))), longest_mm);
    const double depth = percent.value_or(rng.uniform(30, 85)), spare_mm = room_mm - length;
    if (spare_mm < 0) continue;
    const double middle = kMarginMm + length / 2 + rng.uniform(0, spare_mm);
    TreeStenosis s{b, static_cast<std::size_t>(std::lround(middle / kStepMm)), length, depth, 0, 0};
    s.reference_diameter_mm = 2 * points[s.point].radius_mm;
    const double at = points[s.point].from_ostium_mm;
    for (TreePoint& p : points) p.radius_mm *= 1 - depth / 100 * bump(p.from_ostium_mm - at, length);
    s.minimal_diameter_mm = 2 * points[s.point].radius_mm;
    made.push_back(s);
  }
  return made;
}

}  // namespace cmunet::phantom
