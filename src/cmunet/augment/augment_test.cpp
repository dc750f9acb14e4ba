// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cmunet/augment/finetune_augment.h"
#include "cmunet/augment/masking.h"
#include "cmunet/augment/views.h"
#include "cmunet/base/error.h"
#include "cmunet/image/resize.h"

namespace cmunet::augment {
namespace {

double largest_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

// A smooth image whose value at (y, x) is 100·y + x: crops and flips can be read off it.
at::Tensor ramp(std::int64_t n, std::int64_t size) {
  const at::Tensor y = torch::arange(size, torch::kFloat).view({1, 1, size, 1});
  const at::Tensor x = torch::arange(size, torch::kFloat).view({1, 1, 1, size});
  return (100 * y + x).expand({n, 1, size, size}).contiguous();
}

TEST(ResizedCrops, TheWholeImageAtItsOwnSizeIsUnchanged) {
  torch::manual_seed(1);
  const auto images = torch::randn({2, 1, 24, 24});
  EXPECT_LT(largest_difference(resized_crops(images, {{0, 0, 24, 24}, {0, 0, 24, 24}}, 24), images), 1e-5);
}

TEST(ResizedCrops, AWholeNumberedBoxAtItsOwnSizeIsACrop) {
  torch::manual_seed(2);
  const auto images = torch::randn({1, 1, 30, 40});
  const auto crop = resized_crops(images, {{5, 11, 16, 16}}, 16);
  EXPECT_LT(largest_difference(crop, images.slice(2, 5, 21).slice(3, 11, 27)), 1e-5);
}

TEST(ResizedCrops, EqualsCroppingAndThenResizing) {
  torch::manual_seed(3);
  const auto images = torch::randn({1, 1, 30, 40});
  for (const Box& box : {Box{3, 4, 20, 28}, Box{0, 0, 30, 40}, Box{10, 20, 9, 11}}) {
    image::ImageF part(static_cast<int>(box.height), static_cast<int>(box.width));
    for (int y = 0; y < part.height(); ++y) {
      for (int x = 0; x < part.width(); ++x) {
        part.at(y, x) = images[0][0][y + static_cast<int>(box.top)][x + static_cast<int>(box.left)].item<float>();
      }
    }
    image::ImageF expected = image::resize_bicubic(part, 16, 16);
    const auto crop = resized_crops(images, {box}, 16);
    EXPECT_LT(largest_difference(crop[0][0], torch::from_blob(expected.data(), {16, 16})), 1e-4);
  }
  EXPECT_THROW(resized_crops(images, {}, 16), Error);
}

TEST(RandomBox, KeepsAreaAspectAndImage) {
  Rng rng(4);
  double area = 0;
  for (int i = 0; i < 2000; ++i) {
    const Box b = random_box(256, 256, 0.2, 1.0, 4.0 / 3, rng);
    EXPECT_GE(b.top, 0);
    EXPECT_GE(b.left, 0);
    EXPECT_LE(b.top + b.height, 256);
    EXPECT_LE(b.left + b.width, 256);
    EXPECT_GT(b.height * b.width, 0.19 * 65536);
    EXPECT_LT(std::max(b.height / b.width, b.width / b.height), 4.0 / 3 + 0.03);
    area += b.height * b.width / 65536 / 2000;
  }
  EXPECT_NEAR(area, 0.53, 0.03);  // below the mean of the draw, 0.6: boxes that do not fit are drawn again
}

TEST(MakeViews, ViewsShareTheCropAndDifferByShiftAndNoise) {
  ViewOptions options{.crop_size = 64, .view_size = 48, .max_shift = 15};
  options.noise_probability = 0;
  Rng rng(5);
  const auto images = ramp(6, 64);
  std::set<int> shifts;
  for (int round = 0; round < 40; ++round) {
    const Views views = make_views(images, options, rng);
    ASSERT_EQ(views.online.sizes(), (std::vector<std::int64_t>{6, 1, 48, 48}));
    for (int n = 0; n < 6; ++n) {
      // Both are windows of one linear picture: their difference is one constant per image.
      const auto difference = (views.momentum[n] - views.online[n]).slice(1, 4, 44).slice(2, 4, 44);
      EXPECT_LT((difference - difference.mean()).abs().max().item<double>(), 0.8);
    }
  }
  ViewOptions whole = options;
  whole.area_min = 1.0;
  whole.aspect_max = 1.0;
  whole.flip_probability = 0;
  for (int round = 0; round < 60; ++round) {
    const Views views = make_views(images, whole, rng);
    EXPECT_LT(largest_difference(views.online, images.slice(2, 0, 48).slice(3, 0, 48)), 0.01);
    for (int n = 0; n < 6; ++n) {
      const double first = views.momentum[n][0][0][0].item<double>();
      shifts.insert(static_cast<int>(std::lround(first)) / 100);
      shifts.insert(static_cast<int>(std::lround(first)) % 100);
    }
  }
  EXPECT_EQ(*shifts.begin(), 0);
  EXPECT_EQ(*shifts.rbegin(), 15);  // both ends are drawn
}

TEST(MakeViews, FlipsAreSharedByBothViews) {
  ViewOptions options{.crop_size = 32, .view_size = 32, .area_min = 1, .aspect_max = 1, .max_shift = 0};
  options.noise_probability = 0;
  Rng rng(6);
  const auto images = ramp(8, 32);
  int flipped = 0;
  for (int round = 0; round < 50; ++round) {
    const Views views = make_views(images, options, rng);
    EXPECT_LT(largest_difference(views.online, views.momentum), 1e-4);
    flipped += static_cast<int>((views.online.select(2, 0).select(2, 0) > 10).sum().item<std::int64_t>());
  }
  EXPECT_NEAR(flipped, 200, 45);
}

TEST(MakeViews, NoiseIsATenthOfTheMaximum) {
  ViewOptions options{.crop_size = 64, .view_size = 64, .area_min = 1, .aspect_max = 1, .max_shift = 0};
  options.flip_probability = 0;
  Rng rng(7);
  const auto images = torch::full({3, 1, 64, 64}, 4.0F);
  const Views views = make_views(images, options, rng);
  EXPECT_NEAR((views.momentum - views.online).std().item<double>(), 0.4, 0.01);
  const Views dark = make_views(-images, options, rng);  // no positive value: no noise
  EXPECT_LT(largest_difference(dark.momentum, dark.online), 1e-6);
}

TEST(MakeViews, FollowTheGeneratorAlone) {
  const ViewOptions options{.crop_size = 64, .view_size = 48, .max_shift = 15};
  const auto images = ramp(2, 64);
  Rng a(8), b(8), other(9);
  EXPECT_TRUE(make_views(images, options, a).momentum.equal(make_views(images, options, b).momentum));
  EXPECT_TRUE(a.state() == b.state());
  EXPECT_FALSE(make_views(images, options, a).momentum.equal(make_views(images, options, other).momentum));
}

TEST(ViewOptions, AreChecked) {
  ViewOptions options;
  EXPECT_NO_THROW(options.check());
  options.max_shift = 33;
  EXPECT_THROW(options.check(), Error);
  options = {};
  options.view_size = 300;
  EXPECT_THROW(options.check(), Error);
}

TEST(Masking, CountsAreThePapers) {
  EXPECT_EQ(masked_patch_count(224, 224, 16, 0.65), 127);
  EXPECT_EQ(masked_patch_count(256, 256, 16, 0.65), 166);
  EXPECT_EQ(masked_patch_count(256, 256, 16, 0.5), 128);
  EXPECT_THROW(masked_patch_count(224, 224, 15, 0.5), Error);
  EXPECT_THROW(masked_patch_count(224, 224, 16, 1.0), Error);
}

TEST(Masking, HidesWholePatchesAndAnotherSetForEachSample) {
  Rng rng(1);
  const auto masked = random_patch_mask(3, 64, 96, 16, 0.5, rng);
  EXPECT_EQ(masked.sizes(), (std::vector<std::int64_t>{3, 1, 64, 96}));
  const auto patches = masked.view({3, 4, 16, 6, 16}).mean({2, 4});  // 0 or 1 when whole
  EXPECT_TRUE(((patches == 0).logical_or(patches == 1)).all().item<bool>());
  for (int n = 0; n < 3; ++n) EXPECT_EQ(patches[n].sum().item<double>(), 12);
  EXPECT_FALSE(masked[0].equal(masked[1]));
  const auto hidden = apply_mask(torch::ones({3, 1, 64, 96}), masked);
  EXPECT_TRUE(hidden.equal(1 - masked));
}

// Square, with a different value in every pixel; the mask is made from the image so that they can be compared after.
at::Tensor textured(std::int64_t n) {
  torch::manual_seed(3);
  return torch::rand({n, 1, 32, 32}) - 0.5;
}

AugmentOptions nothing() {
  AugmentOptions o;
  o.noise_probability = o.blur_probability = o.contrast_probability = o.downscale_probability = o.one_of_probability =
      0;
  return o;
}

TEST(Augment, WithNothingSwitchedOnChangesNothing) {
  Rng rng(1);
  const auto images = textured(4);
  const auto masks = (images.squeeze(1) > 0).to(torch::kUInt8);
  const Augmented batch = augment(images, masks, nothing(), rng);
  EXPECT_TRUE(batch.images.equal(images));
  EXPECT_TRUE(batch.masks.equal(masks));
}

TEST(Augment, FlipsAndTurnsMoveTheMaskWithTheImage) {
  AugmentOptions o = nothing();
  o.one_of_probability = 1;
  o.noise_sigma_min = o.noise_sigma_max = 0;
  Rng rng(2);
  const auto images = textured(16);
  const auto masks = (images.squeeze(1) > 0).to(torch::kUInt8);
  int moved = 0;
  for (int round = 0; round < 10; ++round) {
    const Augmented batch = augment(images, masks, o, rng);
    EXPECT_TRUE(batch.masks.equal((batch.images.squeeze(1) > 0).to(torch::kUInt8)));
    for (int n = 0; n < 16; ++n) moved += batch.images[n].equal(images[n]) ? 0 : 1;
  }
  // One quarter each: two flips, turns (of which one in four is none), noise of strength 0.
  EXPECT_NEAR(moved, 160 * (0.5 + 0.25 * 0.75), 20);
}

TEST(Augment, NoiseBlurContrastAndDownscaleLeaveMasksAlone) {
  AugmentOptions o;
  o.noise_probability = o.blur_probability = o.contrast_probability = o.downscale_probability = 1;
  o.one_of_probability = 0;
  Rng rng(3);
  const auto images = textured(4);
  const auto masks = (images.squeeze(1) > 0.3).to(torch::kUInt8);
  const Augmented batch = augment(images, masks, o, rng);
  EXPECT_TRUE(batch.masks.equal(masks));
  EXPECT_FALSE(batch.images.equal(images));
  EXPECT_GT(batch.images.max().item<double>() - batch.images.min().item<double>(), 0.1);
}

TEST(Augment, BlurKeepsTheMeanAndNoiseHasItsStrength) {
  AugmentOptions o = nothing();
  o.blur_probability = 1;
  Rng rng(4);
  auto spike = torch::zeros({1, 1, 33, 33});
  spike[0][0][16][16] = 1;
  const auto masks = torch::zeros({1, 33, 33}, torch::kUInt8);
  const auto blurred = augment(spike, masks, o, rng).images;
  EXPECT_NEAR(blurred.sum().item<double>(), 1, 1e-5);
  const double y = (blurred.squeeze() * torch::arange(33).view({33, 1}).to(torch::kFloat)).sum().item<double>();
  EXPECT_NEAR(y, 16, 1e-4);
  o = nothing();
  o.noise_probability = 1;
  o.noise_sigma_min = o.noise_sigma_max = 0.2;
  const auto noisy = augment(torch::zeros({4, 1, 64, 64}), torch::zeros({4, 64, 64}, torch::kUInt8), o, rng).images;
  EXPECT_NEAR(noisy.std().item<double>(), 0.2, 0.005);
}

TEST(Augment, ProbabilitiesAreKept) {
  AugmentOptions o = nothing();
  o.contrast_probability = 0.15;
  Rng rng(5);
  const auto images = torch::ones({50, 1, 16, 16});
  const auto masks = torch::zeros({50, 16, 16}, torch::kUInt8);
  std::int64_t changed = 0;
  for (int round = 0; round < 40; ++round) {
    changed += (augment(images, masks, o, rng).images.amax({1, 2, 3}) != 1).sum().item<std::int64_t>();
  }
  EXPECT_NEAR(static_cast<double>(changed) / 2000, 0.15, 0.025);
}

TEST(Augment, FollowsTheGeneratorAndChecksShapes) {
  const auto images = textured(4);
  const auto masks = torch::zeros({4, 32, 32}, torch::kUInt8);
  Rng a(6), b(6);
  EXPECT_TRUE(augment(images, masks, {}, a).images.equal(augment(images, masks, {}, b).images));
  EXPECT_THROW(augment(images, masks.slice(0, 0, 2), {}, a), Error);
  AugmentOptions bad;
  bad.contrast = 1.5;
  EXPECT_THROW(bad.check(), Error);
}

TEST(Augment, CropsStayAligned) {
  AugmentOptions o = nothing();
  o.crop_probability = 1;
  o.crop_scale_min = 0.6;
  Rng rng(7);
  auto images = torch::zeros({8, 1, 64, 64});
  images.slice(2, 20, 44).slice(3, 8, 30).fill_(1);
  const auto masks = (images.squeeze(1) > 0.5).to(torch::kUInt8);
  const Augmented batch = augment(images, masks, o, rng);
  const auto again = (batch.images.squeeze(1) > 0.5).to(torch::kUInt8);
  EXPECT_LT((again != batch.masks).to(torch::kFloat).mean().item<double>(), 0.04);
  EXPECT_FALSE(batch.masks.equal(masks));
}

}  // namespace
}  // namespace cmunet::augment
