// SPDX-License-Identifier: Apache-2.0
// Walls from grey values: cross-sections of a mask, moved to where the picture shows the vessel's edges.
#pragma once

#include <span>
#include <vector>

#include "cmunet/vessel/calliper.h"
#include "cmunet/vessel/cut.h"
#include "cmunet/vessel/lumen.h"

namespace cmunet::vessel {

/// What was found in the picture as a whole.
struct WallSearch {
  int from_image = 0, kept = 0;  ///< cross-sections with walls from the picture, and with those of the mask
  double blur_px = 0;            ///< standard deviation of the picture's blur; 0 where no profile could be read
  double sharpening = 0;         ///< share of unsharp masking that is seen in it
  bool vessels_are_bright = false;
};

/// Replaces the walls of each cross-section by those of the round or elliptical vessel that fits the grey values along
/// it best: a projected, blurred vessel on a straight background (wall_fit.h), whose bias is none for vessels that are
/// such. Grey values are averaged over ±1 px along the vessel. The picture's blur, its noise and whether vessels are
/// dark or bright are found from its own cross-sections first.
///
/// Walls are looked for around the mask's, made narrower by what the picture says that the vessel's mask is too wide,
/// and then around where the walls found on both sides lead: a stenosis that a mask has blunted is followed inwards.
///
/// The sd of a diameter is larger where the density of the vessel departs from what it is around, or the fit leaves
/// more than the picture's noise: another vessel may lie over it there.
///
/// A cross-section keeps the mask's walls where another vessel of the mask or the border leaves no background beside
/// it; where the fit does not settle, lies beyond the band around the expected walls, or misses the grey values; and
/// where the diameter's sd exceeds both the mask's error and a tenth of the diameter.
/// @param vessels  of `measure_diameters`; changed in place
WallSearch find_walls(const Angiogram& angiogram, const Lumen& lumen, std::span<std::vector<Sample>> vessels,
                      double aspect = 1);

}  // namespace cmunet::vessel
