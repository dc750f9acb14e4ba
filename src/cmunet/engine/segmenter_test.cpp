// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/segmenter.h"

#include <gtest/gtest.h>

#include "cmunet/base/error.h"

namespace cmunet::engine {
namespace {

// Calls "vessel" whatever is darker than the image's mean: enough to follow a shape through the pipeline.
class DarkIsVessel : public Engine {
 public:
  std::string name() const override { return "dark is vessel"; }
  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    std::vector<image::ImageF> result(images.begin(), images.end());
    for (image::ImageF& picture : result) {
      for (float& value : picture) value = value < 0 ? 0.9F : 0.1F;
    }
    batch_sizes.push_back(images.size());
    return result;
  }
  std::vector<std::size_t> batch_sizes;
};

// A dark rectangle off the centre, so that a swap of axes or a shift is seen.
image::ImageF bright_with_dark_block(int height, int width) {
  image::ImageF picture(height, width, 200.0F);
  for (int y = height / 8; y < height / 2; ++y) {
    for (int x = width / 4; x < width / 2; ++x) picture.at(y, x) = 20.0F;
  }
  return picture;
}

TEST(Segmenter, FindsTheBlockOnTheImagesOwnGrid) {
  const auto engine = std::make_shared<DarkIsVessel>();
  preprocess::Options options;
  options.size = 128;
  const Segmenter segmenter(engine, options);
  for (const auto& [height, width] : {std::pair{256, 256}, {131, 97}, {64, 200}}) {
    const Segmentation result = segmenter.segment(bright_with_dark_block(height, width));
    ASSERT_EQ(result.mask.height(), height);
    ASSERT_EQ(result.mask.width(), width);
    EXPECT_EQ(result.mask.at(height / 3, width * 3 / 8), 1) << height << "x" << width;
    EXPECT_EQ(result.mask.at(height * 7 / 8, width * 3 / 8), 0) << height << "x" << width;
    EXPECT_EQ(result.mask.at(height / 3, width * 5 / 8), 0) << height << "x" << width;
  }
}

TEST(Segmenter, GivesABatchToTheEngineAtOnce) {
  const auto engine = std::make_shared<DarkIsVessel>();
  const Segmenter segmenter(engine, preprocess::Options{});
  const std::vector<image::ImageF> pictures(3, bright_with_dark_block(64, 64));
  EXPECT_EQ(segmenter.segment(pictures).size(), 3U);
  EXPECT_EQ(engine->batch_sizes, std::vector<std::size_t>{3});
}

TEST(Segmenter, RefusesEmptyImagesAndBadThresholds) {
  const auto engine = std::make_shared<DarkIsVessel>();
  EXPECT_THROW(Segmenter(engine, preprocess::Options{}, 1.0), Error);
  EXPECT_THROW(Segmenter(engine, preprocess::Options{}).segment(image::ImageF{}), Error);
}

}  // namespace
}  // namespace cmunet::engine
