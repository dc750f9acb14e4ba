// SPDX-License-Identifier: Apache-2.0
// Exact Euclidean distances on the pixel grid (Felzenszwalb & Huttenlocher 2012: two passes of lower envelopes).
#pragma once

#include <cstdint>
#include <limits>

#include "cmunet/image/image.h"

namespace cmunet::image {

/// What `squared_distance_to` gives everywhere when no pixel is set.
inline constexpr std::int64_t kNoPixel = std::numeric_limits<std::int64_t>::max();

/// Square of the distance in pixels from each pixel to the nearest set pixel of `mask`: exact whole numbers.
Image<std::int64_t> squared_distance_to(const Mask& mask);

/// Distance in pixels from each set pixel to the nearest background pixel, 0 on the background. Pixels beyond the
/// border are not background; a mask without background gives infinity.
ImageF distance_transform(const Mask& mask);

}  // namespace cmunet::image
