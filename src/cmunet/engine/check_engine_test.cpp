// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/check_engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/engine/native_engine.h"

namespace cmunet::engine {
namespace {

// Says `offset` more than the image itself at the first pixel of every image.
class Shifted : public Engine {
 public:
  explicit Shifted(float offset) : offset_(offset) {}
  std::string name() const override { return "shifted"; }
  std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) override {
    std::vector<image::ImageF> result(images.begin(), images.end());
    for (image::ImageF& picture : result) picture.at(0, 0) += offset_;
    return result;
  }

 private:
  float offset_;
};

TEST(CompareEngines, ClosedForm) {
  Shifted exact(0), high(0.25F);
  const std::vector<image::ImageF> images{image::ImageF(2, 5, 0.375F), image::ImageF(2, 5, 0.75F)};
  const EngineDifference d = compare_engines(exact, high, images);
  EXPECT_EQ(d.images, 2);
  EXPECT_EQ(d.pixels, 20);
  EXPECT_DOUBLE_EQ(d.max, 0.25);
  EXPECT_DOUBLE_EQ(d.mean, 2 * 0.25 / 20);
  EXPECT_EQ(d.mask_pixels, 1);  // 0.375 + 0.25 crosses one half, 0.75 does not
  EXPECT_EQ(compare_engines(exact, high, images, 0.7).mask_pixels, 0);
  EXPECT_EQ(compare_engines(exact, exact, images).max, 0);
}

TEST(CompareEngines, SeesNaN) {
  Shifted exact(0), broken(std::numeric_limits<float>::quiet_NaN());
  const std::vector<image::ImageF> images{image::ImageF(2, 2, 0.5F)};
  EXPECT_TRUE(std::isnan(compare_engines(exact, broken, images).max));
  EXPECT_TRUE(std::isnan(compare_engines(exact, broken, images).mean));
}

TEST(CompareEngines, RefusesAnotherSize) {
  class Cropped : public Shifted {
   public:
    Cropped() : Shifted(0) {}
    std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF>) override {
      return {image::ImageF(1, 1)};
    }
  } cropped;
  Shifted exact(0);
  const std::vector<image::ImageF> images{image::ImageF(2, 2, 0.5F)};
  EXPECT_THROW(compare_engines(exact, cropped, images), Error);
}

TEST(CompareEngines, NativeAndReferenceAgree) {
  const UNetWeights weights = random_unet_weights(4, 3);
  Rng rng(9);
  image::ImageF picture(48, 32);
  for (float& v : picture) v = static_cast<float>(rng.normal());
  const EngineDifference d =
      compare_engines(*make_native_engine(weights, 1), *make_reference_engine(weights), std::span(&picture, 1));
  EXPECT_LT(d.max, 1e-4);
  EXPECT_GT(d.max, 0);  // two ways of computing, not one
}

}  // namespace
}  // namespace cmunet::engine
