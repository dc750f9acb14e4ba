// SPDX-License-Identifier: Apache-2.0
// From the patient to the picture: parallel projection along the usual views, at the heart's scale.
#pragma once

#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/phantom/tree.h"
#include "cmunet/phantom/vector3.h"

namespace cmunet::phantom {

/// Directions of the picture in the patient, and the point that its middle shows.
struct Camera {
  View view;
  Vec3 right{1, 0, 0}, down{0, 1, 0}, towards{0, 0, 1};  ///< `towards` the detector
  double aim_y_mm = 0, aim_x_mm = 0;

  /// Millimetres from the middle of the picture.
  double y_mm(const Vec3& p) const { return dot(p, down) - aim_y_mm; }
  double x_mm(const Vec3& p) const { return dot(p, right) - aim_x_mm; }
};

/// One of the artery's usual views with some variation, aimed at the tree. The ostium is always within the picture.
Camera draw_camera(Artery artery, const std::vector<TreeBranch>& tree, double field_mm, Rng& rng);

/// A point of a projected vessel.
struct FlatPoint {
  double y = 0, x = 0;  ///< px, pixel centres at whole numbers
  double radius_mm = 0, from_ostium_mm = 0;
  double steepness = 1;  ///< how much longer a ray's way through the vessel is than across it; at most 2.5
};

/// Projects a course. The given points are among the result, which has more so that none are over half a pixel apart.
std::vector<FlatPoint> project(const std::vector<TreePoint>& points, const Camera& camera, int size, double spacing_mm);

}  // namespace cmunet::phantom
