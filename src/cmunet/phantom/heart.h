// SPDX-License-Identifier: Apache-2.0
// The heart as an ellipsoid, and the ways that vessels take over it.
#pragma once

#include <span>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/vector3.h"

namespace cmunet::phantom {

/// Sampling of vessel courses, mm.
inline constexpr double kStepMm = 0.25;

/// A place on the heart. Latitude 0 is the ring between atria and ventricles, 90 the apex, negative the atria.
/// Longitude 0 is the anterior groove between the ventricles, 90 the left side wall, 180 the inferior groove, 270 the
/// right side wall. Depth 1 is the surface and 0 the long axis.
struct Place {
  double latitude_deg = 0, longitude_deg = 0, depth = 1;
};

/// The centre of the ring is the origin. The three directions are perpendicular to each other.
struct Heart {
  Vec3 apex_ward, anterior, left_ward;
  double ring_mm = 40;    ///< radius of the ring between atria and ventricles
  double length_mm = 80;  ///< from the ring to the apex

  Vec3 at(const Place& place) const;
  /// Outward normal of the ellipsoid (or of the scaled one) through `p`.
  Vec3 normal(const Vec3& p) const;
  /// 1 on the surface, 0 in the centre of the ring.
  double depth_of(const Vec3& p) const;
};

/// A heart of an adult's size in its usual position.
Heart draw_heart(Rng& rng);

/// Points every `kStepMm` on a smooth curve through the given ones. Needs two points, and neighbours that differ.
std::vector<Vec3> curve_through(std::span<const Vec3> points);

/// A walk over the heart's surface (at the depth of its start) with a randomly changing direction.
std::vector<Vec3> walk(const Heart& heart, const Vec3& start, const Vec3& forward, double length_mm, double tortuosity,
                       Rng& rng);

/// Swings a course to and fro, beginning gently at its start. `tortuosity` 0 leaves it, 1 winds strongly.
std::vector<Vec3> wound(const Heart& heart, const std::vector<Vec3>& course, double tortuosity, Rng& rng);

}  // namespace cmunet::phantom
