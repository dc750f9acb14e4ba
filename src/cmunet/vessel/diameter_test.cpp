// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/diameter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cmunet::vessel {
namespace {

TEST(MeanDiameter, OfAStraightTubeIsItsWidthWithinAPixel) {
  for (const int width : {3, 5, 9, 15}) {
    image::Mask tube(60, 200);
    for (int y = 30 - width / 2; y <= 30 + width / 2; ++y) {
      for (int x = 10; x < 190; ++x) tube.at(y, x) = 1;
    }
    EXPECT_NEAR(mean_diameter_px(tube), width, 0.75) << width;
  }
}

TEST(MeanDiameter, OfOnePixelIsOne) {
  image::Mask dot(5, 5);
  dot.at(2, 2) = 1;
  EXPECT_DOUBLE_EQ(mean_diameter_px(dot), 1.0);  // the contour passes half a pixel away
}

TEST(MeanDiameter, IsUndefinedWithoutAVesselInside) {
  EXPECT_TRUE(std::isnan(mean_diameter_px(image::Mask(8, 8))));
  image::Mask frame(8, 8);
  for (int x = 0; x < 8; ++x) frame.at(0, x) = 1;  // only on the cleared border
  EXPECT_TRUE(std::isnan(mean_diameter_px(frame)));
}

}  // namespace
}  // namespace cmunet::vessel
