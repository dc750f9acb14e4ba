// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/morphology.h"

namespace cmunet::image {
namespace {

Mask at_least(const Mask& mask, int threshold) {
  Mask result(mask.height(), mask.width());
  result.spacing_mm = mask.spacing_mm;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      int count = 0;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          if (mask.contains(y + dy, x + dx) && mask.at(y + dy, x + dx) != 0) ++count;
        }
      }
      result.at(y, x) = count >= threshold ? 1 : 0;
    }
  }
  return result;
}

}  // namespace

Mask dilate3x3(const Mask& mask) { return at_least(mask, 1); }
Mask erode3x3(const Mask& mask) { return at_least(mask, 9); }
Mask majority3x3(const Mask& mask) { return at_least(mask, 5); }

}  // namespace cmunet::image
