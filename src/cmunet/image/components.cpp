// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/components.h"

#include <utility>

namespace cmunet::image {

Components connected_components(const Mask& mask, int connectivity) {
  CMUNET_CHECK(connectivity == 4 || connectivity == 8, ErrorCode::kInvalidArgument, "[components] connectivity is ",
               connectivity, "; must be 4 or 8");
  Components result;
  result.labels = Image<int>(mask.height(), mask.width());
  std::vector<std::pair<int, int>> stack;
  const auto visit = [&](int y, int x) {
    if (!mask.contains(y, x) || mask.at(y, x) == 0 || result.labels.at(y, x) != 0) return;
    result.labels.at(y, x) = result.count;
    ++result.areas.back();
    stack.emplace_back(y, x);
  };
  for (int start_y = 0; start_y < mask.height(); ++start_y) {
    for (int start_x = 0; start_x < mask.width(); ++start_x) {
      if (mask.at(start_y, start_x) == 0 || result.labels.at(start_y, start_x) != 0) continue;
      ++result.count;
      result.areas.push_back(0);
      visit(start_y, start_x);
      while (!stack.empty()) {
        const auto [y, x] = stack.back();
        stack.pop_back();
        for (int dy = -1; dy <= 1; ++dy) {
          for (int dx = -1; dx <= 1; ++dx) {
            const bool diagonal = dy != 0 && dx != 0;
            if (!diagonal || connectivity == 8) visit(y + dy, x + dx);
          }
        }
      }
    }
  }
  return result;
}

}  // namespace cmunet::image
