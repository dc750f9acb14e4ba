// SPDX-License-Identifier: Apache-2.0
// The middle one of several values.
#pragma once

#include <algorithm>
#include <vector>

namespace cmunet::vessel {

/// The value in the middle; of an even number of values, the upper of the two there. @pre there is a value.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace cmunet::vessel
