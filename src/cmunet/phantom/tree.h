// SPDX-License-Identifier: Apache-2.0
// The coronary tree in space: courses, bifurcations and radii.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/heart.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {

struct TreePoint {
  Vec3 position_mm;
  double radius_mm = 0;
  double from_ostium_mm = 0;  ///< along the vessels
};

/// Between two bifurcations, as `Branch`.
struct TreeBranch {
  int parent = -1;
  bool continues_parent = false;  ///< the same vessel goes on; the other daughter is its side branch
  std::string vessel;
  std::vector<TreePoint> points;  ///< at least two
};

/// Grows a right or left coronary tree. A branch ends in two daughters or none. At a bifurcation r³ = r₁³ + r₂³
/// (Murray 1926), where r is the parent's last radius and r₁, r₂ the daughters' first ones; in between radii taper.
/// Parents come before their daughters. No vessel is thinner than `thinnest_diameter_mm`; a larger value leaves vessels
/// out and the others where they are.
std::vector<TreeBranch> grow_tree(Artery artery, const Heart& heart, double thinnest_diameter_mm, Rng& rng);

/// A narrowing as made in the tree.
struct TreeStenosis {
  int branch = 0;
  std::size_t point = 0;  ///< the narrowest
  double length_mm = 0, percent = 0, minimal_diameter_mm = 0, reference_diameter_mm = 0;
};

/// Narrows one to three of the `candidates` (indices of branches) of at least 1.5 mm; each between its bifurcations,
/// so that Murray's law stands. Length and percent are drawn when absent. A length that no candidate can hold is
/// shortened to the longest one's.
std::vector<TreeStenosis> add_stenoses(std::vector<TreeBranch>& tree, std::vector<int> candidates,
                                       std::optional<double> length_mm, std::optional<double> percent, Rng& rng);

/// How much a narrowing of full length `length` takes away at distance `d` from its middle: 1 there, 0 beyond its ends.
double bump(double d, double length);

}  // namespace cmunet::phantom
