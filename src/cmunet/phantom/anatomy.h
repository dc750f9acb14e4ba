// SPDX-License-Identifier: Apache-2.0
// The named coronary arteries as data: where each runs over the heart and what leaves it.
#pragma once

#include <vector>

#include "cmunet/phantom/heart.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {

struct Offshoot;

/// A named vessel: it runs through `places`, whose first one is replaced by the point where it leaves its parent.
struct Route {
  const char* name = "";
  std::vector<Place> places;
  std::vector<Offshoot> offshoots;
};

/// Where a named vessel leaves another one.
struct Offshoot {
  double at = 0;           ///< share of the parent's length
  double ratio = 0;        ///< its radius over the parent's there, before random variation
  double probability = 1;  ///< not everybody has every vessel
  Route route;
};

/// The right coronary artery, or the left main with the anterior descending and the circumflex artery.
const Route& route_of(Artery artery);

}  // namespace cmunet::phantom
