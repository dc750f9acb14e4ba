// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/native_engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "cmunet/base/random.h"
#include "cmunet/engine/kernels.h"
#include "cmunet/engine/thread_pool.h"
#include "cmunet/engine/winograd_convolution.h"

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
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a.data()[i] - 0.5F) > 0.495F) continue;
    largest = std::max(largest, std::abs(logit(a.data()[i]) - logit(b.data()[i])));
  }
  return largest;
}

TEST(ThreadPool, RunsEveryTaskOnceManyTimes) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), static_cast<std::size_t>(threads));
    for (std::size_t round = 0; round < 500; ++round) {
      std::vector<std::atomic<int>> calls(round % 7);
      std::atomic<bool> thread_ok{true};
      pool.run(calls.size(), [&](std::size_t i, std::size_t thread) {
        ++calls[i];
        if (thread >= pool.size()) thread_ok = false;
      });
      for (const auto& count : calls) ASSERT_EQ(count, 1);
      ASSERT_TRUE(thread_ok);
    }
  }
}

// One convolution by both forms, every pixel and channel; `width` not a multiple of the tile reaches the edge code.
void expect_winograd_equals_direct(std::size_t in, std::size_t out, std::size_t height, std::size_t width,
                                   bool few_tiles) {
  SCOPED_TRACE(testing::Message() << in << " -> " << out << " channels, " << height << "x" << width);
  Rng rng(in * 131 + out);
  const Convolution conv = random_convolution(in, out, 3, rng);
  ThreadPool pool(2);
  const WinogradConvolution fast(conv, channel_positions(1, in), few_tiles, pool);
  const std::size_t in_memory = padded_channels(in), out_memory = padded_channels(out);
  Floats x = hwy::AllocateAligned<float>(height * width * in_memory);
  std::fill_n(x.get(), height * width * in_memory, 0.0F);
  for (std::size_t p = 0; p < height * width; ++p) {
    for (std::size_t c = 0; c < in; ++c) x[p * in_memory + c] = static_cast<float>(rng.normal());
  }
  Floats y = hwy::AllocateAligned<float>(height * width * out_memory);
  Floats scratch = hwy::AllocateAligned<float>(fast.scratch_floats(height, width, pool.size()));
  fast.run({x.get(), height, width, in_memory, in_memory}, {y.get(), height, width, out_memory, out_memory}, {},
           scratch.get(), pool);
  double largest = 0;
  for (std::size_t row = 0; row < height; ++row) {
    for (std::size_t column = 0; column < width; ++column) {
      for (std::size_t o = 0; o < out; ++o) {
        double sum = double{conv.bias[o]};
        for (std::size_t a = 0; a < 3; ++a) {
          for (std::size_t b = 0; b < 3; ++b) {
            const std::size_t yy = row + a - 1, xx = column + b - 1;
            if (yy >= height || xx >= width) continue;
            for (std::size_t i = 0; i < in; ++i) {
              sum +=
                  double{x[(yy * width + xx) * in_memory + i]} * double{conv.weights[((o * in + i) * 3 + a) * 3 + b]};
            }
          }
        }
        largest = std::max(largest, std::abs(std::max(sum, 0.0) - double{y[(row * width + column) * out_memory + o]}));
      }
    }
  }
  EXPECT_LT(largest, 2e-4);  // outputs are of order 1
}

TEST(WinogradConvolution, EqualsDirectConvolutionForEveryShape) {
  for (const bool few_tiles : {false, true}) {
    for (const std::size_t channels : {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65, 130}) {
      expect_winograd_equals_direct(channels, channels, 9, 11, few_tiles);
    }
    for (const auto& [height, width] : std::vector<std::pair<std::size_t, std::size_t>>{
             {1, 1}, {1, 9}, {2, 2}, {3, 5}, {4, 4}, {5, 4}, {6, 7}, {8, 8}, {13, 30}, {40, 33}}) {
      expect_winograd_equals_direct(7, 18, height, width, few_tiles);
    }
    expect_winograd_equals_direct(1024, 16, 4, 4, few_tiles);
    expect_winograd_equals_direct(16, 1024, 4, 4, few_tiles);
    expect_winograd_equals_direct(512, 512, 3, 5, few_tiles);
    expect_winograd_equals_direct(100, 130, 29, 31, few_tiles);
  }
  expect_winograd_equals_direct(1024, 1024, 5, 3, true);
  expect_winograd_equals_direct(700, 20, 60, 50, true);  // several blocks of tiles
}

TEST(NativeEngine, EqualsTheReferenceAtEveryWidthAndSize) {
  for (const std::size_t base : {1, 3, 8, 16, 20}) {
    const UNetWeights unet = random_unet_weights(base, base);
    const auto native = make_native_engine(unet, 2), reference = make_reference_engine(unet);
    const std::vector<image::ImageF> images = {random_image(16, 16, 1), random_image(33, 20, 2), random_image(1, 1, 3),
                                               random_image(48, 64, 4)};
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

TEST(NativeEngine, KeepsSpacingAndRefusesAnEmptyImage) {
  const auto engine = make_native_engine(random_unet_weights(2, 1), 1);
  std::vector<image::ImageF> images = {random_image(20, 20, 1)};
  images[0].spacing_mm = image::Spacing{0.2, 0.3};
  EXPECT_EQ(engine->vessel_probability(images).front().spacing_mm, images[0].spacing_mm);
  images[0] = image::ImageF();
  EXPECT_THROW(engine->vessel_probability(images), Error);
}

TEST(Kernels, LogisticEqualsItsDefinition) {
  std::vector<float> values;
  for (int i = -400; i <= 403; ++i) values.push_back(static_cast<float>(i) * 0.1F);
  std::vector<float> result = values;
  kernels::logistic(result.data(), result.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(result[i], 1 / (1 + std::exp(-double{values[i]})), 1e-6) << values[i];
  }
}

}  // namespace
}  // namespace cmunet::engine
