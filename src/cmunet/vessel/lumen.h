// SPDX-License-Identifier: Apache-2.0
// What diameters are read from: a mask or a probability map, made ready for cutting.
#pragma once

#include <vector>

#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// How walls are found on a cut.
enum class Wall {
  kMask,   ///< the integral of the slightly blurred mask: the steps of the pixel grid average out, widths stay
  kLevel,  ///< where the probability falls through 0.5
};

/// What diameters are read from.
struct Lumen {
  image::Mask mask;         ///< 0 or 1
  image::ImageF occupancy;  ///< blurred mask, or probability
  image::ImageF inscribed;  ///< radius of the largest disc around a pixel that stays in the mask, px
  Wall wall = Wall::kMask;
  image::Mask field = {};  ///< 1 where the picture was irradiated; empty: everywhere

  /// True for a pixel of the picture within the irradiated field.
  bool is_seen(int y, int x) const { return mask.contains(y, x) && (field.empty() || field.at(y, x) != 0); }
};
/// Of a mask or a probability map (vessel where above 0.5). Holes of at most 16 pixels are filled: they would open
/// loops in the centre line.
/// @throws Error kInvalidArgument for an empty image, mask values other than 0 and 1, probabilities outside [0, 1].
Lumen lumen_of(const image::Mask& mask);
Lumen lumen_of(const image::ImageF& probability);

/// The borders of the lumen, each from its first point to its last, which is the same one for closed borders. The steps
/// of a mask's contour are smoothed along it (1 px); a probability's contour is its 0.5 level as it is.
std::vector<std::vector<image::PointF>> contours_of(const Lumen& lumen);

}  // namespace cmunet::vessel
