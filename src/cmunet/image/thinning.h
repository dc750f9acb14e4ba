// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/image/image.h"

namespace cmunet::image {

/// Topological skeleton, one pixel wide, by the thinning of Zhang & Suen (1984) with the look-up table of
/// scikit-image's `skeletonize` (its 2-D default), which also removes the extra pixels of diagonal staircases.
/// Pixels beyond the border count as background.
Mask thin(const Mask& mask);

}  // namespace cmunet::image
