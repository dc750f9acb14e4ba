// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "cmunet/image/image.h"

namespace cmunet::image {

/// Connected parts of a mask.
struct Components {
  Image<int> labels;  ///< 0 background, 1 … count in the order of their first pixel, row by row
  int count = 0;
  std::vector<std::int64_t> areas;  ///< pixels of component i + 1
};

/// @param connectivity  4 or 8. @throws Error kInvalidArgument for another.
Components connected_components(const Mask& mask, int connectivity = 8);

}  // namespace cmunet::image
