// SPDX-License-Identifier: Apache-2.0
// The coronary tree in space: vessels that run over an ellipsoid, the heart.
#pragma once

#include <array>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {

using Vec3 = std::array<double, 3>;

struct TreePoint {
  Vec3 position_mm{};
  double radius_mm = 0;
  double from_ostium_mm = 0;  ///< along the vessels
};

struct TreeBranch {
  int parent = -1;
  bool continues_parent = false;  ///< the larger daughter; the other one is the side branch
  std::vector<TreePoint> points;
};

/// Grows a right or left coronary tree. At every bifurcation r³ = r₁³ + r₂³ (Murray 1926); radii taper in between.
std::vector<TreeBranch> grow_tree(Artery artery, Rng& rng);

/// Narrows branches at random places; returns what was done (positions in the picture are filled in by the caller).
struct TreeStenosis {
  int branch = 0;
  std::size_t point = 0;
  double length_mm = 0, percent = 0, minimal_diameter_mm = 0, reference_diameter_mm = 0;
};
std::vector<TreeStenosis> add_stenoses(std::vector<TreeBranch>& tree, Rng& rng);

/// How much a smooth bump of full length `length` takes away at distance `d` from its middle: 1 in the middle, 0 beyond.
double bump(double d, double length);

}  // namespace cmunet::phantom
