// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/overlay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cmunet/base/random.h"

namespace cmunet::report {
namespace {

using image::ImageF;
using image::Mask;
using image::Rgb;

Mask square(int size, int low, int high) {
  Mask mask(size, size);
  for (int y = low; y < high; ++y) {
    for (int x = low; x < high; ++x) mask.at(y, x) = 1;
  }
  return mask;
}

// 0.75 of the colour over black.
Rgb over_black(Rgb c) {
  const auto part = [](int v) { return static_cast<std::uint8_t>(std::lround(0.75 * v)); };
  return {part(c.r), part(c.g), part(c.b)};
}

TEST(Overlay, ErrorsHaveTheirColours) {
  ImageF image(1, 4);  // one pixel per case, on black beside one white
  image.at(0, 3) = 1;
  Mask pred(1, 4);
  Mask target(1, 4);
  pred.at(0, 0) = target.at(0, 0) = 1;
  pred.at(0, 1) = 1;
  target.at(0, 2) = 1;
  const image::ImageRgb out = overlay_errors(image, pred, target);
  EXPECT_EQ(out.at(0, 0), over_black(kTruePositiveColour));
  EXPECT_EQ(out.at(0, 1), over_black(kFalsePositiveColour));
  EXPECT_EQ(out.at(0, 2), over_black(kFalseNegativeColour));
  EXPECT_EQ(out.at(0, 3), (Rgb{255, 255, 255}));
}

TEST(Overlay, MaskHasContourAndTint) {
  const image::ImageRgb out = overlay_mask(ImageF(7, 7, 3.0F), square(7, 2, 5));
  EXPECT_EQ(out.at(2, 2), kVesselColour);
  EXPECT_EQ(out.at(2, 3), kVesselColour);
  EXPECT_NE(out.at(3, 3), kVesselColour);  // inside: tinted grey
  EXPECT_LT(out.at(3, 3).r, out.at(3, 3).b);
  EXPECT_EQ(out.at(0, 0), (Rgb{128, 128, 128}));  // one grey value: mid grey
}

TEST(Overlay, BridgesHaveTheirOwnColour) {
  Mask bridges(7, 7);
  bridges.at(3, 3) = 1;
  const image::ImageRgb out = overlay_mask(ImageF(7, 7, 3.0F), square(7, 2, 5), bridges);
  EXPECT_EQ(out.at(3, 3), kBridgeColour);
  EXPECT_EQ(out.at(2, 2), kVesselColour);
  EXPECT_THROW(overlay_mask({}, square(7, 2, 5), Mask(7, 6)), Error);
}

TEST(Overlay, ImageBorderIsNoContour) {
  const image::ImageRgb out = overlay_mask({}, square(3, 0, 3));
  EXPECT_NE(out.at(0, 0), kVesselColour);
  EXPECT_EQ(out.at(0, 0), out.at(1, 1));
}

TEST(Overlay, WithoutImageIsDark) {
  const image::ImageRgb out = overlay_errors({}, Mask(2, 2), Mask(2, 2));
  EXPECT_EQ(out.at(1, 1), (Rgb{40, 40, 40}));
}

TEST(Overlay, SizesMustAgree) {
  EXPECT_THROW(overlay_errors({}, Mask(2, 2), Mask(2, 3)), Error);
  EXPECT_THROW(overlay_errors(ImageF(3, 2), Mask(2, 2), Mask(2, 2)), Error);
  EXPECT_THROW(overlay_mask(ImageF(3, 2), Mask(2, 2)), Error);
}

TEST(GreyWindow, SameForAnyAffineScale) {
  Rng rng(3);
  ImageF eight_bit(50, 40);
  for (float& v : eight_bit) v = static_cast<float>(rng.below(256));
  ImageF z_scored = eight_bit;
  for (float& v : z_scored) v = (v - 128.0F) / 64.0F;  // exact in float
  EXPECT_EQ(to_grey8(eight_bit), to_grey8(z_scored));
}

TEST(GreyWindow, ExtremePixelsDoNotWashOut) {
  ImageF image(20, 20);
  for (std::size_t i = 0; i < image.size(); ++i) image.data()[i] = i % 2 == 0 ? 10.0F : 20.0F;
  image.at(0, 0) = 1e30F;
  image.at(0, 1) = -1e30F;
  image.at(0, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto grey = to_grey8(image);
  EXPECT_EQ(grey.at(5, 0), 0);
  EXPECT_EQ(grey.at(5, 1), 255);
  EXPECT_EQ(grey.at(0, 0), 255);
  EXPECT_EQ(grey.at(0, 1), 0);
  EXPECT_EQ(grey.at(0, 2), 0);
}

TEST(GreyWindow, HugeRangeAndNothingFinite) {
  ImageF image(1, 2);
  image.at(0, 0) = -3e38F;
  image.at(0, 1) = 3e38F;
  EXPECT_EQ(to_grey8(image).at(0, 1), 255);
  EXPECT_EQ(to_grey8(ImageF(2, 2, std::numeric_limits<float>::infinity())).at(0, 0), 0);
  EXPECT_TRUE(to_grey8({}).empty());
}

}  // namespace
}  // namespace cmunet::report
