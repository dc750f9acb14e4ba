// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/finetune_augment.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <cmath>
#include <map>
#include <set>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

AugmentOptions nothing() {
  AugmentOptions o;
  o.noise_probability = o.blur_probability = o.contrast_probability = o.downscale_probability = o.one_of_probability =
      0;
  return o;
}

at::Tensor no_masks(const at::Tensor& images) {
  return torch::zeros({images.size(0), images.size(2), images.size(3)}, torch::kUInt8);
}

at::Tensor augmented(const at::Tensor& images, const AugmentOptions& options, std::span<Rng> rngs) {
  return augment(images, no_masks(images), options, rngs).images;
}

// The mask is made from the image, so that the two can be compared afterwards.
at::Tensor mask_of(const at::Tensor& images) { return (images.squeeze(1) > 0).to(torch::kUInt8); }

class Augment : public ::testing::Test {
 protected:
  Augment() {
    torch::set_num_threads(2);
    torch::manual_seed(3);
  }
  // `n` copies of one picture with another value in every pixel.
  static at::Tensor textured(std::int64_t n, std::int64_t height = 32, std::int64_t width = 32) {
    return (torch::rand({1, 1, height, width}) - 0.5).expand({n, 1, height, width}).contiguous();
  }
};

TEST_F(Augment, WithNothingSwitchedOnChangesNothing) {
  auto rngs = image_rngs(Rng(1), 0, 4);
  const auto images = textured(4);
  const Augmented batch = augment(images, mask_of(images), nothing(), rngs);
  EXPECT_TRUE(batch.images.equal(images));
  EXPECT_TRUE(batch.masks.equal(mask_of(images)));
}

TEST_F(Augment, OneOfFlipsTurnsAndNoiseAreEquallyLikelyAndMoveTheMask) {
  AugmentOptions o = nothing();
  o.one_of_probability = 0.75;
  constexpr int kImages = 2000;
  auto rngs = image_rngs(Rng(2), 0, kImages);
  const auto images = textured(kImages, 8, 8);
  auto masks = torch::zeros({kImages, 8, 8}, torch::kLong);
  masks.slice(1, 0, 3).slice(2, 0, 2).fill_(1);  // changes under every flip and turn
  const Augmented batch = augment(images, masks, o, rngs);
  const at::Tensor image = images[0][0], mask = masks[0];
  const auto laid = [](const at::Tensor& x) {
    return std::vector<at::Tensor>{x, x.flip(1), x.flip(0), x.rot90(1), x.rot90(2), x.rot90(3)};
  };
  const auto image_forms = laid(image), mask_forms = laid(mask);
  std::array<int, 7> count{};
  for (int n = 0; n < kImages; ++n) {
    std::size_t form = 0;
    while (form < 6 && !batch.images[n][0].equal(image_forms[form])) ++form;
    ++count[form];
    EXPECT_TRUE(batch.masks[n].equal(mask_forms[form % 6]));  // noise, number 6, leaves the mask
  }
  const double each = kImages * 0.75 / 4;
  EXPECT_NEAR(count[0], kImages * 0.25 + each / 4, 85);  // not chosen, or no quarter turn
  EXPECT_NEAR(count[1], each, 70);
  EXPECT_NEAR(count[2], each, 70);
  for (const std::size_t turn : {3U, 4U, 5U}) EXPECT_NEAR(count[turn], each / 4, 40);
  EXPECT_NEAR(count[6], each, 70);
}

TEST_F(Augment, OblongImagesAreTurnedByHalfOnly) {
  AugmentOptions o = nothing();
  o.one_of_probability = 1;
  auto rngs = image_rngs(Rng(3), 0, 200);
  const auto images = textured(200, 8, 12);
  const Augmented batch = augment(images, mask_of(images), o, rngs);
  int halves = 0;
  for (int n = 0; n < 200; ++n) halves += batch.images[n].equal(images[n].rot90(2, {1, 2})) ? 1 : 0;
  EXPECT_NEAR(halves, 25, 15);
}

TEST_F(Augment, NoiseHasItsProbabilityAndStrength) {
  AugmentOptions o = nothing();
  o.noise_probability = 0.1;
  auto rngs = image_rngs(Rng(4), 0, 3000);
  const auto sd = augmented(torch::zeros({3000, 1, 16, 16}), o, rngs).flatten(1).std(1);
  const auto noisy = sd.masked_select(sd > 0);
  EXPECT_NEAR(static_cast<double>(noisy.numel()), 300, 60);
  EXPECT_NEAR(noisy.mean().item<double>(), 0.125, 0.008);
  EXPECT_NEAR(noisy.min().item<double>(), 0.05, 0.01);
  EXPECT_NEAR(noisy.max().item<double>(), 0.20, 0.03);
}

TEST_F(Augment, BlurHasItsProbabilityWidthAndKernel) {
  AugmentOptions o = nothing();
  o.blur_probability = 0.2;
  auto rngs = image_rngs(Rng(5), 0, 2000);
  auto spikes = torch::zeros({2000, 1, 21, 21});
  spikes.select(3, 10).select(2, 10).fill_(1);
  const auto result = augmented(spikes, o, rngs).squeeze(1);
  const auto profile = result.select(1, 10);  // [N, 21], the row through the spike
  std::set<std::int64_t> widths;
  int blurred = 0;
  for (int n = 0; n < 2000; ++n) {
    const auto width = (profile[n] > 0).sum().item<std::int64_t>();
    if (width == 1) continue;
    ++blurred;
    widths.insert(width);
    EXPECT_NEAR(result[n].sum().item<double>(), 1, 1e-5);
    // The ratio of neighbours tells sigma, wherever the kernel ends: exp(−1/(2σ²)).
    const double sigma = std::sqrt(-0.5 / std::log((profile[n][11] / profile[n][10]).item<double>()));
    EXPECT_GT(sigma, 0.499);
    EXPECT_LT(sigma, 1.001);
    EXPECT_TRUE(profile[n].allclose(profile[n].flip(0)));
    EXPECT_TRUE(result[n].allclose(result[n].t()));
  }
  EXPECT_NEAR(blurred, 400, 70);
  EXPECT_EQ(widths, (std::set<std::int64_t>{5, 7, 9, 11}));
}

TEST_F(Augment, BlurReflectsAtTheBorderAndNeedsRoom) {
  AugmentOptions o = nothing();
  o.blur_probability = 1;
  auto rngs = image_rngs(Rng(6), 0, 2);
  EXPECT_TRUE(augmented(torch::full({2, 1, 8, 9}, 2.5F), o, rngs).allclose(torch::full({2, 1, 8, 9}, 2.5F)));
  o.blur_kernel_min_px = 11;
  EXPECT_THROW(augmented(torch::zeros({2, 1, 5, 9}), o, rngs), Error);
}

TEST_F(Augment, BrightnessAndContrastFillTheirRangesWithoutClipping) {
  AugmentOptions o = nothing();
  o.contrast_probability = 0.15;
  auto rngs = image_rngs(Rng(7), 0, 4000);
  auto images = torch::zeros({4000, 1, 2, 2});
  images.select(3, 1).fill_(-10);
  const auto result = augmented(images, o, rngs).select(2, 0).squeeze(1);  // [N, 2]
  const auto brightness = result.select(1, 0), contrast = (brightness - result.select(1, 1)) / 10;
  const auto changed = brightness != 0;
  EXPECT_NEAR(changed.sum().item<double>(), 600, 85);
  const auto b = brightness.masked_select(changed), c = contrast.masked_select(changed);
  EXPECT_NEAR(b.min().item<double>(), -0.25, 0.01);
  EXPECT_NEAR(b.max().item<double>(), 0.25, 0.01);
  EXPECT_NEAR(c.min().item<double>(), 0.8, 0.01);
  EXPECT_NEAR(c.max().item<double>(), 1.2, 0.01);
  EXPECT_NEAR(b.mean().item<double>(), 0, 0.025);
  EXPECT_NEAR(c.mean().item<double>(), 1, 0.02);
  EXPECT_NEAR(((b - b.mean()) * (c - c.mean())).mean().item<double>() / (0.144 * 0.115), 0, 0.17);
}

TEST_F(Augment, DownscaleKeepsHalfToAllOfTheColumns) {
  AugmentOptions o = nothing();
  o.downscale_probability = 0.25;
  auto rngs = image_rngs(Rng(8), 0, 1000);
  const auto images = textured(1000, 40, 40);
  const auto result = augmented(images, o, rngs);
  int changed = 0;
  std::set<std::int64_t> kept;
  for (int n = 0; n < 1000; ++n) {
    if (result[n].equal(images[n])) continue;
    ++changed;
    kept.insert(std::get<0>(at::_unique(result[n][0][20])).numel());
    EXPECT_TRUE(at::isin(result[n], images[n]).all().item<bool>());
  }
  EXPECT_NEAR(changed, 250 * 0.975, 55);  // a scale above 39.5/40 changes nothing
  EXPECT_EQ(*kept.begin(), 20);
  EXPECT_EQ(*kept.rbegin(), 39);
}

TEST_F(Augment, NoiseComesBeforeBlurAndBlurBeforeDownscale) {
  AugmentOptions o = nothing();
  o.noise_probability = o.blur_probability = 1;
  o.noise_sigma_min = o.noise_sigma_max = 0.2;
  o.blur_sigma_min_px = o.blur_sigma_max_px = 1;
  auto rngs = image_rngs(Rng(9), 0, 4);
  const auto smooth = augmented(torch::zeros({4, 1, 64, 64}), o, rngs);
  EXPECT_LT(smooth.std().item<double>(), 0.08);  // 0.2 / (2·√π·σ) = 0.056
  o.downscale_probability = 1;
  o.downscale_min = 0.5;
  const auto coarse = augmented(torch::zeros({4, 1, 64, 64}), o, rngs);
  EXPECT_GT((coarse.slice(3, 1) == coarse.slice(3, 0, 63)).sum().item<double>(), 0);  // equal neighbours stay equal
}

TEST_F(Augment, GreyStepsLeaveMasksAlone) {
  AugmentOptions o;
  o.noise_probability = o.blur_probability = o.contrast_probability = o.downscale_probability = 1;
  o.one_of_probability = 0;
  auto rngs = image_rngs(Rng(10), 0, 4);
  const auto images = textured(4);
  const Augmented batch = augment(images, mask_of(images), o, rngs);
  EXPECT_TRUE(batch.masks.equal(mask_of(images)));
  EXPECT_FALSE(batch.images.equal(images));
}

// Smooth blobs whose outline is the zero level: image and mask move together up to rounding along the outline.
at::Tensor blobs(std::int64_t n) {
  const auto y = torch::arange(64, torch::kFloat).view({64, 1}), x = torch::arange(64, torch::kFloat);
  return (torch::sin(y / 7) * torch::cos(x / 9 + 0.3) - 0.2).view({1, 1, 64, 64}).repeat({n, 1, 1, 1});
}

TEST_F(Augment, CropsAndRotationsKeepMasksAlignedAndBinary) {
  for (const bool rotate : {false, true}) {
    AugmentOptions o = nothing();
    (rotate ? o.affine_probability : o.crop_probability) = 1;
    o.crop_scale_min = 0.6;
    o.rotation_max_deg = 30;
    auto rngs = image_rngs(Rng(11), 0, 16);
    const auto images = blobs(16);
    const Augmented batch = augment(images, mask_of(images), o, rngs);
    EXPECT_EQ(batch.masks.scalar_type(), torch::kUInt8);
    EXPECT_LE(batch.masks.max().item<int>(), 1);
    const auto wrong = (mask_of(batch.images) != batch.masks).to(torch::kFloat).mean({1, 2});
    EXPECT_LT(wrong.max().item<double>(), 0.04);
    EXPECT_GT((batch.masks != mask_of(images)).to(torch::kFloat).mean({1, 2}).min().item<double>(), 0.002);
  }
}

TEST_F(Augment, DecidesForEachImageOnItsOwn) {
  AugmentOptions o;
  o.noise_probability = o.blur_probability = o.contrast_probability = o.downscale_probability = 0.5;
  o.crop_probability = o.affine_probability = 0.5;
  auto rngs = image_rngs(Rng(12), 0, 32);
  const auto result = augmented(textured(32), o, rngs);
  int equal_pairs = 0;
  for (int a = 0; a < 32; ++a) {
    for (int b = a + 1; b < 32; ++b) equal_pairs += result[a].equal(result[b]) ? 1 : 0;
  }
  EXPECT_LE(equal_pairs, 3);
}

TEST_F(Augment, FollowsTheGeneratorAloneAndLeavesItsArguments) {
  const auto images = textured(16), before = images.clone();
  const auto masks = mask_of(images), masks_before = masks.clone();
  auto rngs = image_rngs(Rng(13), 0, 16);
  augment(images, masks, {}, rngs);
  auto resumed = rngs;
  torch::manual_seed(1);
  const Augmented a = augment(images, masks, {}, rngs);
  torch::manual_seed(2);
  const Augmented b = augment(images, masks, {}, resumed);
  EXPECT_TRUE(a.images.equal(b.images) && a.masks.equal(b.masks));
  EXPECT_EQ(rngs[15].state(), resumed[15].state());
  augment(images, masks, nothing(), rngs);  // moves on as far, whatever is switched on
  augment(images, masks, {}, resumed);
  EXPECT_EQ(rngs[15].state(), resumed[15].state());
  EXPECT_TRUE(images.equal(before) && masks.equal(masks_before));
}

TEST_F(Augment, ABatchMayBeCutInParts) {
  AugmentOptions o;
  o.crop_probability = o.affine_probability = o.noise_probability = o.blur_probability = 0.5;
  const auto images = textured(9);
  auto all = image_rngs(Rng(14), 0, 9), tail = image_rngs(Rng(14), 4, 5);
  const Augmented whole = augment(images, mask_of(images), o, all);
  const Augmented part = augment(images.slice(0, 4), mask_of(images).slice(0, 4), o, tail);
  EXPECT_TRUE(part.images.allclose(whole.images.slice(0, 4), 1e-6, 1e-6));
  EXPECT_TRUE(part.masks.equal(whole.masks.slice(0, 4)));
}

TEST_F(Augment, RejectsOtherShapesAndTypes) {
  auto rngs = image_rngs(Rng(15), 0, 4);
  const auto images = textured(4);
  EXPECT_THROW(augment(images, no_masks(images).slice(0, 0, 2), {}, rngs), Error);
  EXPECT_THROW(augment(images, at::Tensor(), {}, rngs), Error);
  EXPECT_THROW(augment(images.squeeze(1), no_masks(images), {}, rngs), Error);
  EXPECT_THROW(augment(images.to(torch::kHalf), no_masks(images), {}, rngs), Error);
  EXPECT_THROW(augment(images, no_masks(images), {}, std::span(rngs).first(3)), Error);
}

TEST(AugmentOptions, AreCheckedAndSetByName) {
  EXPECT_NO_THROW(AugmentOptions().check());
  const std::vector<std::string> bad{
      "noise_probability=1.5", "noise_sigma_min=0.3",     "blur_sigma_min_px=0", "blur_sigma_max_px=20",
      "blur_kernel_min_px=4",  "blur_kernel_max_px=3",    "contrast=1.5",        "brightness=-1",
      "downscale_min=0",       "one_of_probability=-0.1", "crop_scale_min=1.2",  "rotation_max_deg=200",
      "scale_change_max=1",    "affine_probability=2"};
  for (const std::string& assignment : bad) {
    AugmentOptions options;
    Fields fields;
    describe(options, fields);
    EXPECT_EQ(fields.all().size(), 19U);
    const auto set_and_check = [&] { fields.apply_set("finetune.augment." + assignment), options.check(); };
    EXPECT_THROW(set_and_check(), Error) << assignment;
  }
}

}  // namespace
}  // namespace cmunet::augment
