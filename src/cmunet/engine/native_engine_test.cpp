// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/native_engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/engine/layer_profile.h"
#include "cmunet/kernels/instruction_set_test.h"

namespace cmunet::engine {
namespace {

image::ImageF random_image(int height, int width, std::uint64_t seed) {
  Rng rng(seed);
  image::ImageF picture(height, width);
  for (float& v : picture) v = static_cast<float>(rng.normal());
  return picture;
}

double logit(float probability) { return std::log(double{probability} / (1 - double{probability})); }

// Largest difference of logits, where neither probability is so near 0 or 1 that single precision hides it.
double largest_logit_difference(const image::ImageF& a, const image::ImageF& b) {
  double largest = 0;
  int compared = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a.data()[i] - 0.5F) > 0.495F) continue;
    const double difference = std::abs(logit(a.data()[i]) - logit(b.data()[i]));
    if (!(difference <= largest)) largest = difference;  // once NaN, always NaN
    ++compared;
  }
  EXPECT_GT(compared, 0);
  return largest;
}

TEST(NativeEngine, EqualsTheReferenceAtEveryWidthAndSize) {
  for (const std::size_t base : {1, 3, 8, 16, 20, 64}) {
    const UNetWeights unet = random_unet_weights(base, base);
    const auto native = make_native_engine(unet, 2), reference = make_reference_engine(unet);
    std::vector<image::ImageF> images = {random_image(16, 16, 1), random_image(33, 20, 2)};
    if (base < 64) {  // the reference takes a second for each
      images.push_back(random_image(1, 1, 3));
      images.push_back(random_image(48, 64, 4));
    }
    const auto fast = native->vessel_probability(images), slow = reference->vessel_probability(images);
    ASSERT_EQ(fast.size(), images.size());
    for (std::size_t i = 0; i < images.size(); ++i) {
      ASSERT_EQ(fast[i].height(), images[i].height());
      ASSERT_EQ(fast[i].width(), images[i].width());
      EXPECT_LT(largest_logit_difference(slow[i], fast[i]), 1e-3) << "base " << base << ", image " << i;
    }
  }
}

TEST(NativeEngine, IsTheSameForEveryThreadCountAndInBatches) {
  const UNetWeights unet = random_unet_weights(8, 1);
  const std::vector<image::ImageF> images = {random_image(40, 40, 1), random_image(64, 32, 2)};
  const auto one = make_native_engine(unet, 1)->vessel_probability(images);
  const auto engine = make_native_engine(unet, 3);
  EXPECT_EQ(engine->vessel_probability(images), one);
  EXPECT_EQ(engine->vessel_probability(std::span(images).subspan(1)).front(), one[1]);
}

TEST(NativeEngine, WhatIsNotANumberStaysSo) {
  image::ImageF broken = random_image(48, 48, 1);
  broken.at(20, 20) = std::nanf("");
  const auto engine = make_native_engine(random_unet_weights(16, 1), 1);
  EXPECT_TRUE(std::isnan(engine->vessel_probability(std::span(&broken, 1)).front().at(20, 20)));
}

TEST(NativeEngine, SeveralWorkAtTheSameTime) {
  const std::vector<image::ImageF> images = {random_image(64, 64, 1)};
  std::vector<std::shared_ptr<Engine>> engines;
  std::vector<image::ImageF> expected;
  for (const std::uint64_t seed : {1, 2, 3}) {
    engines.push_back(make_native_engine(random_unet_weights(8, seed), 2));
    expected.push_back(engines.back()->vessel_probability(images).front());
  }
  EXPECT_NE(expected[0], expected[1]);
  std::atomic<int> right{0};
  std::vector<std::thread> callers;
  for (std::size_t e = 0; e < 3; ++e) {
    callers.emplace_back([&, e] {
      for (int i = 0; i < 5; ++i) right += engines[e]->vessel_probability(images).front() == expected[e] ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 15);
}

TEST(NativeEngine, MayBeCalledFromSeveralThreads) {
  const auto engine = make_native_engine(random_unet_weights(4, 1), 2);
  const std::vector<image::ImageF> images = {random_image(32, 32, 1)};
  const image::ImageF expected = engine->vessel_probability(images).front();
  std::atomic<int> right{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) right += engine->vessel_probability(images).front() == expected ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 20);
}

TEST(LayerProfile, CountsEveryLayersWork) {
  constexpr std::size_t kBase = 4, kSide = 48;  // 40 px are padded to this
  const auto layers = profile_layers(random_unet_weights(kBase, 1), 40, 2, 1);
  ASSERT_EQ(layers.size(), 23U);  // ten convolutions down, twelve up, the last
  EXPECT_EQ(layers.front().name, "down_conv1.0");
  EXPECT_EQ(layers[9].name, "double_conv.1");
  EXPECT_EQ(layers[10].name, "up_conv4.up");
  EXPECT_EQ(layers.back().name, "conv_last");
  double gflop = 0, expected = 2e-9 * kSide * kSide * kBase;  // the last: one difference of two classes
  for (const LayerTime& layer : layers) {
    EXPECT_GT(layer.median_ms, 0) << layer.name;
    gflop += layer.gflop;
  }
  for (std::size_t level = 0; level <= kLevels; ++level) {
    const double side = kSide >> level, width = kBase << level, pixels = side * side;
    expected += 2e-9 * pixels * 9 * width * ((level == 0 ? 1 : width / 2) + width);
    if (level < kLevels) expected += 2e-9 * pixels * width * (2 * width + 9 * 2 * width + 9 * width);
  }
  EXPECT_NEAR(gflop, expected, 1e-12);
  EXPECT_THROW(profile_layers(random_unet_weights(kBase, 1), 0, 1, 1), Error);
}

TEST(NativeEngine, KeepsSpacingAndRefusesAnEmptyImage) {
  const auto engine = make_native_engine(random_unet_weights(2, 1), 1);
  std::vector<image::ImageF> images = {random_image(20, 20, 1)};
  images[0].spacing_mm = image::Spacing{0.2, 0.3};
  EXPECT_EQ(engine->vessel_probability(images).front().spacing_mm, images[0].spacing_mm);
  images[0] = image::ImageF();
  EXPECT_THROW(engine->vessel_probability(images), Error);
}

}  // namespace
}  // namespace cmunet::engine
