// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/segmenter.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/engine/frame.h"

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

class Broken : public Engine {
 public:
  std::string name() const override { return "broken"; }
  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    std::vector<image::ImageF> result(images.begin(), images.end());
    result.back().at(1, 2) = std::nanf("");
    return result;
  }
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
  PostprocessOptions bad;
  bad.threshold = 1.0;
  EXPECT_THROW(Segmenter(engine, preprocess::Options{}, bad), Error);
  EXPECT_THROW(Segmenter(engine, preprocess::Options{}).segment(image::ImageF{}), Error);
}

// A dark disc as a camera with pixels `aspect` times as high as wide shows it.
image::ImageF disc(int height, int width, double aspect) {
  image::ImageF picture(height, width, 200.0F);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (std::hypot((y - height / 2) * aspect, x - width / 2) < 30) picture.at(y, x) = 20.0F;
    }
  }
  return picture;
}

TEST(SegmentFrame, ShowsTheNetworkSquarePixels) {
  // Calls vessel what lies within 30 px of the middle and is as wide as high there; else nothing.
  class RoundIsVessel : public DarkIsVessel {
   public:
    std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
      auto result = DarkIsVessel::vessel_probability(images);
      for (image::ImageF& picture : result) {
        int high = 0, wide = 0;
        for (int y = 0; y < picture.height(); ++y) high += picture.at(y, picture.width() / 2) > 0.5F ? 1 : 0;
        for (int x = 0; x < picture.width(); ++x) wide += picture.at(picture.height() / 2, x) > 0.5F ? 1 : 0;
        if (std::abs(high - wide) > 3) std::fill(picture.begin(), picture.end(), 0.0F);
      }
      return result;
    }
  };
  preprocess::Options options;
  options.size = 128;
  const Segmenter segmenter(std::make_shared<RoundIsVessel>(), options);
  for (const double aspect : {1.0, 1.5, 0.6}) {
    const int height = static_cast<int>(std::lround(128 / aspect));
    const image::Mask field(height, 128, 1);
    const Segmentation result = segment_frame(segmenter, disc(height, 128, aspect), field, {.pixel_aspect = aspect});
    ASSERT_EQ(result.mask.height(), height);
    ASSERT_EQ(result.mask.width(), 128);
    EXPECT_EQ(result.mask.at(height / 2, 64), 1) << aspect;
    int high = 0;
    for (int y = 0; y < height; ++y) high += result.mask.at(y, 64);
    EXPECT_NEAR(high, 59 / aspect, 3) << aspect;
  }
  const Segmentation squashed = segment_frame(segmenter, disc(85, 128, 1.5), image::Mask(85, 128, 1));
  EXPECT_EQ(squashed.mask.at(42, 64), 0);  // without the aspect it is no disc
}

TEST(SegmentFrame, SeesAndFindsNothingOutsideTheField) {
  preprocess::Options options;
  options.size = 128;
  const Segmenter segmenter(std::make_shared<DarkIsVessel>(), options);
  image::ImageF picture = bright_with_dark_block(128, 128);
  image::Mask field(128, 128, 1);
  for (int y = 0; y < 128; ++y) {
    for (int x = 0; x < 40; ++x) picture.at(y, x) = 0.0F, field.at(y, x) = 0;  // a shutter, over a part of the block
  }
  const Segmentation result = segment_frame(segmenter, picture, field);
  EXPECT_EQ(result.mask.at(30, 50), 1);
  for (int y = 0; y < 128; ++y) {
    for (int x = 0; x < 40; ++x) {
      EXPECT_EQ(result.mask.at(y, x), 0);
      EXPECT_EQ(result.probability.at(y, x), 0.0F);
    }
  }
}

TEST(SegmentFrame, TurnsLogarithmsIntoIntensities) {
  // Intensities 10 and 200 with their mean: the same three levels as logarithms must give the same picture.
  class Keep : public DarkIsVessel {
   public:
    std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
      seen.assign(images.begin(), images.end());
      return DarkIsVessel::vessel_probability(images);
    }
    std::vector<image::ImageF> seen;
  };
  const auto engine = std::make_shared<Keep>();
  preprocess::Options options;
  options.size = 64;
  options.normalise = preprocess::Normalise::kNone;
  const Segmenter segmenter(engine, options);
  const auto log_of = [](double v) {
    return static_cast<float>(255 * std::log(1 + v / 255 * (std::exp(3.5) - 1)) / 3.5);
  };
  image::ImageF log(64, 64, log_of(200));
  log.at(20, 30) = log_of(10);
  segment_frame(segmenter, log, image::Mask(64, 64, 1), {.is_log = true});
  EXPECT_NEAR(engine->seen.front().at(20, 30), 10, 0.01);
  EXPECT_NEAR(engine->seen.front().at(5, 5), 200, 0.01);
}

TEST(SegmentFrame, RefusesWhatDoesNotFit) {
  const Segmenter segmenter(std::make_shared<DarkIsVessel>(), preprocess::Options{});
  const image::ImageF picture(64, 64);
  EXPECT_THROW(segment_frame(segmenter, picture, image::Mask(64, 32, 1)), Error);
  EXPECT_THROW(segment_frame(segmenter, image::ImageF(), image::Mask()), Error);
  EXPECT_THROW(segment_frame(segmenter, picture, image::Mask(64, 64, 1), {.pixel_aspect = 20}), Error);
}

TEST(Segmenter, RefusesWhatIsNotANumber) {
  const std::vector<image::ImageF> images{image::ImageF(16, 16, 0.5F), image::ImageF(16, 16, 0.5F)};
  Broken engine;
  try {
    vessel_probability(engine, images, false);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(e.what()).find("1 of 256 pixels"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace cmunet::engine
