// SPDX-License-Identifier: Apache-2.0
// The chain as a whole, against scikit-image and Pillow, and on pictures of unusual shape.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

struct Sample {
  int y = 0;
  int x = 0;
  double value = 0;
};

/// One part of tests/golden/prepared.txt (make_prepared.py); an empty line ends a part.
std::vector<Sample> golden(int part) {
  std::ifstream in(std::string(CMUNET_SOURCE_DIR) + "/tests/golden/prepared.txt");
  std::vector<Sample> samples;
  for (std::string line; part >= 0 && std::getline(in, line);) {
    if (line.empty()) --part;
    Sample sample;
    if (part == 0 && std::istringstream(line) >> sample.y >> sample.x >> sample.value) samples.push_back(sample);
  }
  return samples;
}

image::ImageF picture() {
  image::ImageF out(512, 500);
  for (int y = 0; y < 512; ++y) {
    for (int x = 0; x < 500; ++x) out.at(y, x) = static_cast<float>(40 + (7 * x + 3 * y) % 97 + (x * y / 64) % 83);
  }
  return out;
}

TEST(Chain, UnsharpMaskOfRadius60IsScikitImages) {
  const image::ImageF sharp = unsharp_mask(picture(), 60, 1);
  const std::vector<Sample> expected = golden(0);
  ASSERT_EQ(expected.size(), 56U);
  for (const Sample& s : expected) EXPECT_NEAR(sharp.at(s.y, s.x), s.value, 1e-3) << s.y << " " << s.x;
}

TEST(Chain, CropUnsharpResizeAndZScoreAreThoseOfScikitImageAndPillow) {
  Options options;
  options.crop = 475;
  options.unsharp = true;
  const Prepared prepared = prepare_image(picture(), options);
  EXPECT_EQ(prepared.map, (GridMap{512, 500, 18, 12, 475, 475, 256, 256}));
  const std::vector<Sample> expected = golden(1);
  ASSERT_EQ(expected.size(), 256U);
  for (const Sample& s : expected) EXPECT_NEAR(prepared.image.at(s.y, s.x), s.value, 1e-4) << s.y << " " << s.x;
}

TEST(Chain, TheWholeChainIsFiniteOnAnyShape) {
  Options options;
  options.crop = 475;
  options.inpaint_corners = true;
  options.unsharp = true;
  options.size = 64;
  for (const auto& [height, width] : std::vector<std::pair<int, int>>{{1, 1}, {1, 700}, {2, 3}, {476, 474}, {300, 1}}) {
    image::ImageF image(height, width);
    for (std::size_t i = 0; i < image.size(); ++i) image.data()[i] = static_cast<float>(i * 37 % 256);
    const Prepared prepared = prepare_image(image, options);
    for (const float v : prepared.image) ASSERT_TRUE(std::isfinite(v)) << height << "x" << width;
    EXPECT_EQ(to_source_grid(prepared.image, prepared.map, 0).height(), height);
    EXPECT_EQ(prepare_mask(image::Mask(height, width, 1), options), image::Mask(64, 64, 1));
  }
}

TEST(Chain, AThreadOfAPictureIsNotPaddedToAHugeSquare) {
  try {
    prepare_image(image::ImageF(1, 32768, 1.0F), Options{});
    FAIL() << "was padded to 4 GiB";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_FALSE(error.hint().empty());
  }
  const Options cropped{.crop = 64, .size = 32};
  EXPECT_EQ(prepare_image(image::ImageF(1, 32768, 1.0F), cropped).image, image::ImageF(32, 32));

  Json huge = to_json(square_map(100, 100, 0, 64));
  huge["source_height"] = 32768;
  huge["source_width"] = 32768;
  EXPECT_THROW(grid_map_from_json(huge, "test"), Error);
}

}  // namespace
}  // namespace cmunet::preprocess
