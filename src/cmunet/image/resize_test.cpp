// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/resize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/base/random.h"

namespace cmunet::image {
namespace {

ImageF random_image(int height, int width, std::uint64_t seed) {
  Rng rng(seed);
  ImageF picture(height, width);
  for (float& v : picture) v = static_cast<float>(rng.normal());
  return picture;
}

double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  if (x < 2) return -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
  return 0;
}

// The definition, straight: every output pixel is the weighted mean of all input pixels.
double brute_bicubic(const ImageF& picture, int height, int width, int oy, int ox) {
  const double sy = static_cast<double>(picture.height()) / height, sx = static_cast<double>(picture.width()) / width;
  const double cy = (oy + 0.5) * sy, cx = (ox + 0.5) * sx;
  double sum = 0, weights = 0;
  for (int y = 0; y < picture.height(); ++y) {
    for (int x = 0; x < picture.width(); ++x) {
      const double w = cubic((y + 0.5 - cy) / std::max(1.0, sy)) * cubic((x + 0.5 - cx) / std::max(1.0, sx));
      sum += w * static_cast<double>(picture.at(y, x));
      weights += w;
    }
  }
  return sum / weights;
}

TEST(ResizeBicubic, EqualsTheDefinition) {
  const ImageF picture = random_image(13, 17, 1);
  for (const auto& [height, width] : {std::pair{7, 9}, {26, 34}, {13, 5}, {1, 1}}) {
    const ImageF result = resize_bicubic(picture, height, width);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        EXPECT_NEAR(static_cast<double>(result.at(y, x)), brute_bicubic(picture, height, width, y, x), 2e-6);
      }
    }
  }
}

TEST(ResizeBicubic, KeepsTheSameSizeAndConstants) {
  const ImageF picture = random_image(9, 11, 2);
  EXPECT_EQ(resize_bicubic(picture, 9, 11), picture);
  for (const float v : resize_bicubic(ImageF(8, 8, 3.5F), 5, 13)) EXPECT_FLOAT_EQ(v, 3.5F);
}

TEST(ResizeBicubic, ScalesSpacingAndRefusesEmptySizes) {
  ImageF picture(10, 20);
  picture.spacing_mm = Spacing{0.2, 0.3};
  const ImageF half = resize_bicubic(picture, 5, 10);
  EXPECT_DOUBLE_EQ(half.spacing_mm->row_mm, 0.4);
  EXPECT_DOUBLE_EQ(half.spacing_mm->col_mm, 0.6);
  EXPECT_THROW(resize_bicubic(ImageF{}, 4, 4), Error);
  EXPECT_THROW(resize_bicubic(picture, 0, 4), Error);
}

TEST(ResizeBilinear, IsLinearBetweenPixels) {
  ImageF ramp(1, 4);
  for (int x = 0; x < 4; ++x) ramp.at(0, x) = static_cast<float>(x);
  const ImageF doubled = resize_bilinear(ramp, 1, 8);
  EXPECT_FLOAT_EQ(doubled.at(0, 3), 1.25F);  // centre at 1.75 px from the left edge: 1.25 in pixel-centre coordinates
  EXPECT_FLOAT_EQ(doubled.at(0, 0), 0.0F);
}

TEST(BicubicWeights, RowsAddUpAndStayInsideThePart) {
  std::vector<float> weights(8 * 20);
  fill_bicubic_weights(weights, 20, 4, 10, 8);
  for (int o = 0; o < 8; ++o) {
    double sum = 0;
    for (int i = 0; i < 20; ++i) {
      const auto w = static_cast<double>(weights[static_cast<std::size_t>(o * 20 + i)]);
      sum += w;
      EXPECT_TRUE(w == 0 || (i >= 4 && i < 14));
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(ResizeNearest, WholeFactorsAndBack) {
  Rng rng(3);
  Mask mask(16, 12);
  for (auto& v : mask) v = rng.bernoulli(0.5) ? 1 : 0;
  for (const int factor : {2, 3}) {
    const Mask large = resize_nearest(mask, 16 * factor, 12 * factor);
    EXPECT_EQ(resize_nearest(large, 16, 12), mask);
    EXPECT_EQ(large.at(5 * factor + factor - 1, 7 * factor), mask.at(5, 7));
  }
}

// Golden values of Pillow: tests/golden/make_resized.py, which has the same picture.
ImageF golden_picture(int height, int width) {
  ImageF picture(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      picture.at(y, x) =
          static_cast<float>(100 * std::sin(0.37 * y) * std::cos(0.23 * x) + 20 * std::cos(0.011 * x * y));
    }
  }
  return picture;
}

TEST(Resize, EqualsPillow) {
  const Json cases = load_json(std::filesystem::path(CMUNET_SOURCE_DIR) / "tests/golden/resized.json");
  ASSERT_GE(cases.size(), 20U);
  for (const Json& c : cases) {
    const auto method = c.at("method").get<std::string>();
    SCOPED_TRACE(method + " from " + c.at("from").dump() + " to " + c.at("to").dump());
    const ImageF picture = golden_picture(c.at("from").at(0), c.at("from").at(1));
    const int height = c.at("to").at(0), width = c.at("to").at(1);
    const ImageF result = method == "bicubic"    ? resize_bicubic(picture, height, width)
                          : method == "bilinear" ? resize_bilinear(picture, height, width)
                                                 : resize_nearest(picture, height, width);
    const auto step = c.at("step").get<std::size_t>();
    const auto expected = c.at("values").get<std::vector<double>>();
    ASSERT_EQ(expected.size(), (result.size() + step - 1) / step);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(result.data()[i * step]), expected[i], 1e-4) << i * step;
    }
  }
}

}  // namespace
}  // namespace cmunet::image
