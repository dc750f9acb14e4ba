// SPDX-License-Identifier: Apache-2.0
// 3×3 neighbourhood operations on masks. Pixels beyond the border count as background.
#pragma once

#include "cmunet/image/image.h"

namespace cmunet::image {

/// 1 where any pixel of the 3×3 neighbourhood is 1.
Mask dilate3x3(const Mask& mask);
/// 1 where all pixels of the 3×3 neighbourhood are 1.
Mask erode3x3(const Mask& mask);
/// 1 where at least five of the nine pixels are 1: smooths edges, fills pin holes, drops single pixels.
Mask majority3x3(const Mask& mask);

}  // namespace cmunet::image
