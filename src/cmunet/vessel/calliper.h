// SPDX-License-Identifier: Apache-2.0
// Diameters along a centre line, at right angles to it, finer than a pixel.
#pragma once

#include <span>
#include <vector>

#include "cmunet/image/contour.h"
#include "cmunet/vessel/lumen.h"

namespace cmunet::vessel {

/// A measured value and the standard deviation of its error, as far as the picture tells it.
struct Estimate {
  double value = 0;
  double sd = 0;
};

/// Standard deviations to either side that hold 95 % of a normal distribution.
inline constexpr double kTwoSided95 = 1.959963984540054;

/// A value with its 95 % interval, which need not be symmetric.
struct Interval {
  double value = 0, low = 0, high = 0;
};

/// One cross-section. Lengths are in px as calibration.h defines it; points are image coordinates.
struct Sample {
  image::PointF centre, left, right;  ///< walls, with the centre midway; left as one looks along the line on a screen
  double arc_px = 0;                  ///< along the centre line from its beginning
  double diameter_px = 0;             ///< distance of the walls
  double sd_px = 0;            ///< of the diameter. Mask: 1/√12 px for each wall. Probability: for each wall the
                               ///< way from 0.75 to 0.25 over 1.35, as if it were the wall's distribution. Picture:
                               ///< the fit's, and what contradicts its assumptions
  bool is_from_image = false;  ///< walls found in the grey values (wall.h), not in the mask
};

/// A disc in which diameters mean nothing: the end of a vessel or the opening of a side branch.
struct Exclusion {
  image::PointF centre;
  double radius_px = 0;
};

/// A skeleton's line every half pixel, smoothed and moved into the middle between the walls.
/// @param line    points at most 3 px apart, as of `trace_centrelines`; shorter ones than 2 points stay as they are
/// @param aspect  row spacing / column spacing
std::vector<image::PointF> centred_line(const Lumen& lumen, std::span<const image::PointF> line, double aspect = 1);

/// Cuts the vessel at every point of `line`, at right angles to it.
/// @param line      of `centred_line`
/// @param excluded  no samples there; nor where a cut runs into another vessel, being far wider than the largest disc
///                  around its centre; nor within a pixel of the border of the picture or of the field
std::vector<Sample> measure_diameters(const Lumen& lumen, const std::vector<image::PointF>& line,
                                      std::span<const Exclusion> excluded, double aspect = 1);

}  // namespace cmunet::vessel
