// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/views.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cmunet/augment/crop.h"
#include "cmunet/augment/image_rngs.h"
#include "cmunet/augment/largest_difference_test.h"
#include "cmunet/augment/masking.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

// A plane whose value at (y, x) is 100·y + x: crops, shifts and flips can be read off it.
at::Tensor ramp(std::int64_t n, std::int64_t size) {
  const at::Tensor y = torch::arange(size, torch::kFloat).view({1, 1, size, 1});
  const at::Tensor x = torch::arange(size, torch::kFloat).view({1, 1, 1, size});
  return (100 * y + x).expand({n, 1, size, size}).contiguous();
}

// The crop is the whole image, so that nothing but flip, shift and noise is left.
ViewOptions whole_image(int size, int view) {
  return {.crop_size = size, .view_size = view, .area_min = 1, .aspect_max = 1, .max_shift = size - view};
}

class MakeViews : public ::testing::Test {
 protected:
  MakeViews() { torch::set_num_threads(2); }
};
using RandomBox = MakeViews;

TEST_F(RandomBox, HasTheStatisticsOfRandomResizedCrop) {
  Rng rng(4);
  constexpr int kDraws = 20000;
  double area = 0, log_aspect = 0, log_aspect_2 = 0, centre = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Box b = random_box(256, 256, 0.2, 1.0, 4.0 / 3, rng);
    EXPECT_GE(std::min(b.top, b.left), 0);
    EXPECT_LE(std::max(b.top + b.height, b.left + b.width), 256);
    EXPECT_GT(b.height * b.width, 0.197 * 65536);                         // 0.2 but for rounding to pixels
    EXPECT_LT(std::max(b.height / b.width, b.width / b.height), 1.3417);  // 4/3 but for rounding
    const double aspect = std::log(b.width / b.height);
    area += b.height * b.width / 65536 / kDraws;
    log_aspect += aspect / kDraws;
    log_aspect_2 += aspect * aspect / kDraws;
    centre += (b.left + b.width / 2) / 256 / kDraws;
  }
  // Below the 0.6 and 0.166 of what is drawn, as large oblong boxes do not fit and are drawn again.
  EXPECT_NEAR(area, 0.5400, 0.006);
  EXPECT_NEAR(log_aspect, 0, 0.005);
  EXPECT_NEAR(std::sqrt(log_aspect_2), 0.1582, 0.003);
  EXPECT_NEAR(centre, 0.5, 0.004);
}

TEST_F(RandomBox, FallsBackToTheCentre) {
  Rng rng(5);
  const Box wide = random_box(10, 100, 1, 1, 1, rng);  // a square of the area 1000 does not fit
  EXPECT_EQ(std::vector({wide.top, wide.left, wide.height, wide.width}), std::vector({0.0, 45.0, 10.0, 10.0}));
  const Box tall = random_box(99, 10, 1, 1, 2, rng);
  EXPECT_EQ(std::vector({tall.top, tall.left, tall.height, tall.width}), std::vector({39.0, 0.0, 20.0, 10.0}));
}

TEST_F(MakeViews, BothAreWindowsOfOneCrop) {
  ViewOptions options{.crop_size = 64, .view_size = 48, .max_shift = 15};
  options.noise_probability = 0;
  auto rngs = image_rngs(Rng(5), 0, 6);
  const auto images = ramp(6, 64);
  for (int round = 0; round < 20; ++round) {
    const Views views = make_views(images, options, rngs);
    ASSERT_EQ(views.online.sizes(), (std::vector<std::int64_t>{6, 1, 48, 48}));
    ASSERT_EQ(views.momentum.sizes(), views.online.sizes());
    // Windows of one plane differ by a constant per image; bicubic bends the plane at the crop's border only.
    const auto difference = (views.momentum - views.online).slice(2, 4, 30).slice(3, 4, 30);
    EXPECT_LT((difference - difference.mean({2, 3}, true)).abs().max().item<double>(), 0.2);
  }
}

TEST_F(MakeViews, OnlyTheMomentumViewIsShiftedByUpToAndIncludingMaxShift) {
  ViewOptions options = whole_image(40, 32);
  options.max_shift = 7;
  options.flip_probability = options.noise_probability = 0;
  auto rngs = image_rngs(Rng(6), 0, 8);
  const auto images = ramp(8, 40);
  std::vector<int> rows(9), columns(9);
  std::set<std::pair<int, int>> pairs;
  for (int round = 0; round < 100; ++round) {
    const Views views = make_views(images, options, rngs);
    EXPECT_LT(largest_difference(views.online, images.slice(2, 0, 32).slice(3, 0, 32)), 1e-2);
    for (int n = 0; n < 8; ++n) {
      const auto first = std::lround(views.momentum[n][0][0][0].item<double>());
      ASSERT_LT(std::max(first / 100, first % 100), 8);
      ++rows[static_cast<std::size_t>(first / 100)];
      ++columns[static_cast<std::size_t>(first % 100)];
      pairs.emplace(first / 100, first % 100);
    }
  }
  for (std::size_t shift = 0; shift < 8; ++shift) {  // 100 each of 800
    EXPECT_NEAR(rows[shift], 100, 40) << shift;
    EXPECT_NEAR(columns[shift], 100, 40) << shift;
  }
  EXPECT_EQ(pairs.size(), 64U);  // y and x are drawn independently
}

TEST_F(MakeViews, CanShiftBoth) {
  ViewOptions options = whole_image(40, 32);
  options.flip_probability = options.noise_probability = 0;
  options.shift_both = true;
  auto rngs = image_rngs(Rng(7), 0, 32);
  const Views views = make_views(ramp(32, 40), options, rngs);
  const auto corner = [](const at::Tensor& t) { return t.select(3, 0).select(2, 0); };
  EXPECT_GT(corner(views.online).std().item<double>(), 100);
  EXPECT_GT((corner(views.online) - corner(views.momentum)).std().item<double>(), 100);
}

TEST_F(MakeViews, FlipsAreSharedByBothViewsAndExact) {
  ViewOptions options = whole_image(32, 32);
  options.noise_probability = 0;
  auto rngs = image_rngs(Rng(8), 0, 8);
  const auto images = ramp(8, 32);
  int flipped = 0;
  for (int round = 0; round < 50; ++round) {
    const Views views = make_views(images, options, rngs);
    EXPECT_TRUE(views.online.equal(views.momentum));
    for (int n = 0; n < 8; ++n) {
      const bool is_flipped = views.online[n][0][0][0].item<double>() > 10;
      EXPECT_LT(largest_difference(views.online[n], is_flipped ? images[n].flip(2) : images[n]), 1e-2);
      flipped += is_flipped ? 1 : 0;
    }
  }
  EXPECT_NEAR(flipped, 200, 45);
}

TEST_F(MakeViews, NoiseIsATenthOfEachViewsMaximum) {
  ViewOptions options = whole_image(64, 64);
  options.flip_probability = 0;
  auto rngs = image_rngs(Rng(9), 0, 4);
  const auto peaks = torch::tensor({4.0F, 1.0F, 0.0F, -2.0F}).view({4, 1, 1, 1});
  const Views views = make_views(peaks * torch::ones({4, 1, 64, 64}), options, rngs);
  const auto noise = (views.momentum - views.online).flatten(1);
  const auto sd = noise.std(1);
  EXPECT_NEAR(sd[0].item<double>(), 0.4, 0.015);
  EXPECT_NEAR(sd[1].item<double>(), 0.1, 0.004);
  EXPECT_EQ(sd[2].item<double>(), 0);  // no positive pixel: no noise
  EXPECT_EQ(sd[3].item<double>(), 0);
  EXPECT_NEAR(noise[0].mean().item<double>(), 0, 0.025);
  EXPECT_NEAR((noise[0] * noise[1]).mean().item<double>() / 0.04, 0, 0.06);  // independent
}

TEST_F(MakeViews, NoiseProbabilityIsPerImage) {
  ViewOptions options = whole_image(16, 16);
  options.flip_probability = 0;
  options.noise_probability = 0.3;
  auto rngs = image_rngs(Rng(10), 0, 1000);
  const Views views = make_views(torch::ones({1000, 1, 16, 16}), options, rngs);
  const auto noisy = (views.momentum - views.online).flatten(1).std(1) > 0.05;
  EXPECT_NEAR(noisy.sum().item<double>(), 300, 60);
}

TEST_F(MakeViews, FollowTheGeneratorAlone) {
  const ViewOptions options{.crop_size = 64, .view_size = 48, .max_shift = 15};
  const auto images = ramp(4, 64);
  auto rngs = image_rngs(Rng(11), 0, 4);
  make_views(images, options, rngs);
  auto resumed = rngs;
  torch::manual_seed(1);  // LibTorch's own generator plays no part
  const Views a = make_views(images, options, rngs);
  torch::manual_seed(2);
  const Views b = make_views(images, options, resumed);
  EXPECT_TRUE(a.online.equal(b.online) && a.momentum.equal(b.momentum));
  EXPECT_EQ(rngs[3].state(), resumed[3].state());
  EXPECT_FALSE(make_views(images, options, rngs).online.equal(a.online));
  EXPECT_FALSE(a.online[0].equal(a.online[1]));  // equal images, other crops
}

TEST_F(MakeViews, ABatchMayBeCutInParts) {
  const ViewOptions options{.crop_size = 64, .view_size = 48, .max_shift = 15};
  const auto images = ramp(7, 64);
  auto all = image_rngs(Rng(12), 0, 7), tail = image_rngs(Rng(12), 3, 4);
  const Views whole = make_views(images, options, all), part = make_views(images.slice(0, 3), options, tail);
  EXPECT_TRUE(part.online.allclose(whole.online.slice(0, 3)));
  EXPECT_TRUE(part.momentum.allclose(whole.momentum.slice(0, 3)));
}

TEST_F(MakeViews, TakeOblongAndHalfImages) {
  const ViewOptions options{.crop_size = 32, .view_size = 16, .max_shift = 15};
  auto a = image_rngs(Rng(13), 0, 3), b = a;
  const auto images = torch::randint(-2, 3, {3, 1, 40, 56});
  const Views views = make_views(images.to(torch::kFloat), options, a);
  EXPECT_EQ(views.online.sizes(), (std::vector<std::int64_t>{3, 1, 16, 16}));
  EXPECT_TRUE(make_views(images.to(torch::kHalf), options, b).momentum.equal(views.momentum));
}

TEST_F(MakeViews, RejectOtherShapes) {
  auto rngs = image_rngs(Rng(14), 0, 4);
  EXPECT_THROW(make_views(torch::zeros({4, 64, 64}), {}, rngs), Error);
  EXPECT_THROW(make_views(torch::zeros({4, 3, 64, 64}), {}, rngs), Error);
  EXPECT_THROW(make_views(torch::zeros({0, 1, 64, 64}), {}, rngs), Error);
  EXPECT_THROW(make_views(torch::zeros({3, 1, 64, 64}), {}, rngs), Error);
}

TEST(ViewOptions, AreCheckedAndSetByName) {
  ViewOptions options;
  EXPECT_NO_THROW(options.check());
  Fields fields;
  describe(options, fields);
  fields.apply_set("pretrain.views.max_shift=32");
  EXPECT_NO_THROW(options.check());
  fields.apply_set("pretrain.views.max_shift=33");
  EXPECT_THROW(options.check(), Error);
  const std::vector<std::string> bad{"view_size=300",   "area_min=0",        "area_max=1.5",          "aspect_max=0.9",
                                     "area_min=0.9999", "noise_fraction=-1", "noise_probability=1.1", "max_shift=-1"};
  for (const std::string& assignment : bad) {
    ViewOptions wrong;
    wrong.area_max = 0.5;
    Fields named;
    describe(wrong, named);
    const auto set_and_check = [&] { named.apply_set("pretrain.views." + assignment), wrong.check(); };
    EXPECT_THROW(set_and_check(), Error) << assignment;
  }
}

TEST(NormalNoise, IsStandardNormalAndWhite) {
  auto rngs = image_rngs(Rng(15), 0, 4);
  const auto z = normal_noise({4, 250, 250}, rngs, at::Device(at::kCPU));
  EXPECT_NEAR(z.mean().item<double>(), 0, 0.01);
  EXPECT_NEAR(z.std().item<double>(), 1, 0.006);
  EXPECT_NEAR(z.pow(4).mean().item<double>(), 3, 0.08);
  EXPECT_NEAR((z.abs() > 2).to(torch::kFloat).mean().item<double>(), 0.0455, 0.002);
  EXPECT_NEAR((z.slice(2, 1) * z.slice(2, 0, 249)).mean().item<double>(), 0, 0.01);
  auto same = image_rngs(Rng(15), 0, 4);
  EXPECT_TRUE(normal_noise({4, 250, 250}, same, at::Device(at::kCPU)).equal(z));
  EXPECT_FALSE(normal_noise({4, 250, 250}, same, at::Device(at::kCPU)).equal(z));
}

TEST(Masking, CountsAreThePapers) {
  EXPECT_EQ(masked_patch_count(224, 224, 16, 0.65), 127);
  EXPECT_EQ(masked_patch_count(256, 256, 16, 0.65), 166);
  EXPECT_EQ(masked_patch_count(256, 256, 16, 0.5), 128);
  EXPECT_EQ(masked_patch_count(224, 224, 16, 0), 0);
  EXPECT_THROW(masked_patch_count(224, 224, 15, 0.5), Error);
  EXPECT_THROW(masked_patch_count(224, 224, 0, 0.5), Error);
  EXPECT_THROW(masked_patch_count(0, 224, 16, 0.5), Error);
  EXPECT_THROW(masked_patch_count(224, 224, 16, 1.0), Error);
  EXPECT_THROW(masked_patch_count(224, 224, 16, std::nan("")), Error);
}

TEST(Masking, HidesWholePatchesAndAnotherSetForEachSample) {
  auto rngs = image_rngs(Rng(1), 0, 3), same = rngs;
  const auto masked = random_patch_mask(64, 96, 16, 0.5, rngs);
  EXPECT_EQ(masked.sizes(), (std::vector<std::int64_t>{3, 1, 64, 96}));
  EXPECT_TRUE(masked.equal(random_patch_mask(64, 96, 16, 0.5, same)));
  EXPECT_EQ(rngs[2].state(), same[2].state());
  const auto patches = masked.view({3, 4, 16, 6, 16}).mean({2, 4});  // 0 or 1 when whole
  EXPECT_TRUE(((patches == 0).logical_or(patches == 1)).all().item<bool>());
  for (int n = 0; n < 3; ++n) EXPECT_EQ(patches[n].sum().item<double>(), 12);
  EXPECT_FALSE(masked[0].equal(masked[1]));
  EXPECT_EQ(random_patch_mask(64, 96, 16, 0.5, {}).size(0), 0);
}

TEST(Masking, HidesEveryPatchEquallyOften) {
  auto rngs = image_rngs(Rng(2), 0, 4000);
  const auto often = random_patch_mask(8, 8, 2, 0.5, rngs).slice(2, 0, 8, 2).slice(3, 0, 8, 2).sum(0);
  EXPECT_NEAR(often.min().item<double>(), 2000, 140);
  EXPECT_NEAR(often.max().item<double>(), 2000, 140);
}

TEST(Masking, HiddenPixelsAreZeroWhateverTheyWere) {
  auto rngs = image_rngs(Rng(3), 0, 2);
  const auto masked = random_patch_mask(32, 32, 16, 0.5, rngs);
  const auto images = torch::full({2, 1, 32, 32}, std::nanf("")).where(masked > 0, torch::full({2, 1, 32, 32}, -3.0F));
  EXPECT_TRUE(apply_mask(images, masked).equal(-3 * (1 - masked)));
  EXPECT_EQ(apply_mask(images.to(torch::kHalf), masked).scalar_type(), torch::kHalf);
}

}  // namespace
}  // namespace cmunet::augment
