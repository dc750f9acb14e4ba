// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/image/image.h"

namespace cmunet::image {

/// Topological skeleton, one pixel wide, by the thinning of Zhang & Suen (1984) with the look-up table of
/// scikit-image's `skeletonize` (its 2-D default), which also removes the extra pixels of diagonal staircases.
/// Pixels beyond the border count as background.
/// Made for comparison with published figures: of vessels along a diagonal it can leave a single pixel.
Mask thin(const Mask& mask);

/// Topological skeleton by the two-pass thinning of Guo & Hall (1989), which keeps every part of the mask connected,
/// and long, in all directions. Made for following vessels. Pixels beyond the border count as background.
Mask thin_connected(const Mask& mask);

}  // namespace cmunet::image
