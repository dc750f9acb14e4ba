// SPDX-License-Identifier: Apache-2.0
// The tree of centre lines in a vessel mask.
#pragma once

#include <vector>

#include "cmunet/image/contour.h"
#include "cmunet/vessel/lumen.h"

namespace cmunet::vessel {

/// A vessel between two nodes (ends or bifurcations); neighbouring points are one pixel or a diagonal apart.
struct Segment {
  int from = 0, to = 0;               ///< indices of `Tree::nodes`; equal for a loop
  std::vector<image::PointF> points;  ///< from `from` to `to`, pixel centres
};

/// Where segments end or meet.
struct Node {
  image::PointF position;
  int degree = 0;  ///< ends of segments that meet here; 1 at a vessel's end
};

struct Tree {
  std::vector<Node> nodes;
  std::vector<Segment> segments;  ///< longest first
};

/// Thins the mask and follows its skeleton; every bump of the wall has a branch.
Tree trace_skeleton(const Lumen& lumen);

/// The skeleton without what thinning leaves at bumps. End pieces no longer than the vessel is wide at the place where
/// they leave it (spurs) are removed, the shortest first, and what then runs through is joined. Vessels that cross in
/// the picture meet in nodes as if they branched. Without vessel the tree is empty.
Tree trace_centrelines(const Lumen& lumen);

/// The shortest way along the tree between the points of it that are nearest to `from` and `to`.
struct Path {
  std::vector<image::PointF> points;
  std::vector<int> nodes;  ///< bifurcations on the way, in order
};
/// @throws Error kNotFound when the tree is empty, or its two points are not connected.
Path find_path(const Tree& tree, const image::PointF& from, const image::PointF& to);

}  // namespace cmunet::vessel
