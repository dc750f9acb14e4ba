// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/diameter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cmunet::vessel {
namespace {

image::Mask horizontal_tube(int width_px) {
  image::Mask tube(60, 400);
  for (int y = 30 - width_px / 2; y < 30 - width_px / 2 + width_px; ++y) {
    for (int x = 10; x < 390; ++x) tube.at(y, x) = 1;
  }
  return tube;
}

TEST(MeanDiameter, OfAStraightTubeIsItsWidth) {
  for (const int width : {1, 3, 5, 9, 15}) EXPECT_NEAR(mean_diameter_px(horizontal_tube(width)), width, 0.1) << width;
  // The skeleton runs beside the middle, half a pixel nearer to one wall.
  for (const int width : {2, 4, 10}) EXPECT_NEAR(mean_diameter_px(horizontal_tube(width)), width - 1, 0.1) << width;
}

TEST(MeanDiameter, TurningTheImageChangesNothing) {
  const image::Mask tube = horizontal_tube(7);
  image::Mask turned(tube.width(), tube.height());
  for (int y = 0; y < tube.height(); ++y) {
    for (int x = 0; x < tube.width(); ++x) turned.at(x, y) = tube.at(y, x);
  }
  EXPECT_NEAR(mean_diameter_px(turned), mean_diameter_px(tube), 0.01);
}

TEST(MeanDiameter, IsInColumnsWhereRowsAreFurtherApart) {
  const image::Mask tube = horizontal_tube(7);
  EXPECT_NEAR(mean_diameter_px(tube, 2), 2 * mean_diameter_px(tube), 0.2);  // the ends count otherwise
  image::Mask turned(tube.width(), tube.height());
  for (int y = 0; y < tube.height(); ++y) {
    for (int x = 0; x < tube.width(); ++x) turned.at(x, y) = tube.at(y, x);
  }
  EXPECT_NEAR(mean_diameter_px(turned, 2), mean_diameter_px(turned), 0.1);
}

TEST(MeanDiameter, TheBorderClosesAVesselThatLeavesTheImage) {
  const image::Mask tube = horizontal_tube(9);
  image::Mask cut(60, 200);
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 200; ++x) cut.at(y, x) = tube.at(y, x + 100);
  }
  EXPECT_NEAR(mean_diameter_px(cut), 9, 0.2);
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
