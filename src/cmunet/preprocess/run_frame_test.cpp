// SPDX-License-Identifier: Apache-2.0
// Frames of runs as networks see them.
#include "cmunet/preprocess/run_frame.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cmunet::preprocess {
namespace {

image::ImageF ramp(int height, int width) {
  image::ImageF image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) image.at(y, x) = static_cast<float>(3 * y + 2 * x);
  }
  return image;
}

TEST(SquarePixels, TheCoarserDirectionGetsMore) {
  image::ImageF image = ramp(40, 60);
  image.spacing_mm = {0.3, 0.2};
  const image::ImageF high = with_square_pixels(image, 1.5);
  EXPECT_EQ(high.height(), 60);
  EXPECT_EQ(high.width(), 60);
  EXPECT_NEAR(high.spacing_mm->row_mm, 0.2, 1e-12);
  EXPECT_NEAR(high.spacing_mm->col_mm, 0.2, 1e-12);
  const image::ImageF wide = with_square_pixels(image, 0.5);
  EXPECT_EQ(wide.height(), 40);
  EXPECT_EQ(wide.width(), 120);
  EXPECT_EQ(with_square_pixels(image, 1), image);
  EXPECT_EQ(with_square_pixels(image, 1.0005), image);
}

TEST(SquarePixels, PlacesStayWhereTheyAre) {
  const image::ImageF image = ramp(40, 60), high = with_square_pixels(image, 1.5);
  for (int y = 2; y < 58; ++y) {  // away from the border, where there is nothing to interpolate with
    const double source_y = (y + 0.5) * 40 / 60 - 0.5;
    for (int x = 0; x < 60; ++x) {
      ASSERT_NEAR(static_cast<double>(high.at(y, x)), 3 * source_y + 2 * x, 1e-3) << y << " " << x;
    }
  }
}

TEST(PictureOfFrame, OutsideTheFieldIsItsMean) {
  image::ImageF grey = ramp(4, 4);
  image::Mask field(4, 4, 1);
  double sum = 0;
  for (int y = 0; y < 4; ++y) {
    field.at(y, 0) = 0;
    for (int x = 1; x < 4; ++x) sum += static_cast<double>(grey.at(y, x));
  }
  const image::ImageF picture = picture_of_frame(grey, field, {});
  for (int y = 0; y < 4; ++y) {
    EXPECT_NEAR(static_cast<double>(picture.at(y, 0)), sum / 12, 1e-5);
    for (int x = 1; x < 4; ++x) EXPECT_EQ(picture.at(y, x), grey.at(y, x));
  }
  EXPECT_EQ(picture_of_frame(grey, image::Mask(4, 4, 0), {}), grey);  // of nothing there is no mean
}

TEST(PictureOfFrame, LogarithmsBecomeIntensities) {
  image::ImageF log(1, 3);
  const auto log_of = [](double v) { return 255 * std::log(1 + v / 255 * (std::exp(3.5) - 1)) / 3.5; };
  log.at(0, 0) = 0, log.at(0, 1) = static_cast<float>(log_of(100)), log.at(0, 2) = 255;
  const image::ImageF picture = picture_of_frame(log, image::Mask(1, 3, 1), {.is_log = true});
  EXPECT_EQ(picture.at(0, 0), 0);
  EXPECT_NEAR(static_cast<double>(picture.at(0, 1)), 100, 1e-3);
  EXPECT_NEAR(static_cast<double>(picture.at(0, 2)), 255, 1e-3);
}

TEST(PictureOfFrame, RefusesWhatDoesNotFit) {
  const image::ImageF grey(8, 8);
  EXPECT_THROW(picture_of_frame(grey, image::Mask(8, 4, 1), {}), Error);
  EXPECT_THROW(picture_of_frame(image::ImageF(), image::Mask(), {}), Error);
  for (const double aspect : {20.0, 0.05, std::nan("")}) EXPECT_THROW(with_square_pixels(grey, aspect), Error);
}

}  // namespace
}  // namespace cmunet::preprocess
