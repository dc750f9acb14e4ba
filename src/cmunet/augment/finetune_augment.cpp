// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/finetune_augment.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "cmunet/augment/batch.h"
#include "cmunet/augment/blur.h"
#include "cmunet/augment/image_rngs.h"
#include "cmunet/augment/resample.h"
#include "cmunet/augment/views.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

// The images that a step changes, and what it needs to know about each.
template <typename Parameter>
struct Chosen {
  std::vector<std::int64_t> rows;
  std::vector<Parameter> parameters;
};

// Decides for each image. Parameters are drawn in any case, so that the stream moves on equally.
template <typename Draw>
auto choose(double probability, std::span<Rng> rngs, Draw draw) {
  Chosen<decltype(draw(rngs[0]))> chosen;
  for (std::size_t row = 0; row < rngs.size(); ++row) {
    const bool is_chosen = rngs[row].bernoulli(probability);
    const auto parameter = draw(rngs[row]);
    if (!is_chosen) continue;
    chosen.rows.push_back(static_cast<std::int64_t>(row));
    chosen.parameters.push_back(parameter);
  }
  return chosen;
}

// A copy of the batch in which `change` has been made to the chosen rows, all at once.
template <typename Change>
at::Tensor change_rows(const at::Tensor& batch, const std::vector<std::int64_t>& rows, Change change) {
  if (rows.empty()) return batch;
  const at::Tensor index = send(torch::tensor(rows), batch.device());
  return batch.index_copy(0, index, change(batch.index_select(0, index)));
}

// One number per image, as a [N, 1, 1, 1] tensor on the images' device.
at::Tensor per_image(const std::vector<float>& values, const at::Tensor& images) {
  return send(torch::tensor(values).view({-1, 1, 1, 1}), images.device());
}

at::Tensor add_noise(const at::Tensor& images, const Chosen<float>& sigma, std::span<Rng> rngs) {
  std::vector<Rng> own;  // so that unused noise costs a single draw as well
  for (Rng& rng : rngs) own.emplace_back(rng.next());
  std::vector<Rng> noise;
  for (const std::int64_t row : sigma.rows) noise.push_back(own[static_cast<std::size_t>(row)]);
  return change_rows(images, sigma.rows, [&](const at::Tensor& x) {
    return torch::addcmul(x, per_image(sigma.parameters, x), normal_noise(x.sizes(), noise, x.device()));
  });
}

// contrast · x + brightness
struct Tone {
  float contrast = 1, brightness = 0;
};

at::Tensor toned(const at::Tensor& images, const std::vector<Tone>& tones) {
  std::vector<float> contrast, brightness;
  for (const Tone& tone : tones) {
    contrast.push_back(tone.contrast);
    brightness.push_back(tone.brightness);
  }
  return torch::addcmul(per_image(brightness, images), images, per_image(contrast, images));
}

// Random crops of the image's shape, resized back: bicubic for images, nearest for masks.
Augmented crop(const Augmented& batch, const AugmentOptions& o, std::span<Rng> rngs) {
  const auto h = static_cast<int>(batch.images.size(2)), w = static_cast<int>(batch.images.size(3));
  const Chosen<Box> chosen = choose(o.crop_probability, rngs, [&](Rng& rng) {
    const double share = rng.uniform(o.crop_scale_min, 1.0);
    const double height = std::max(1.0, std::round(share * h)), width = std::max(1.0, std::round(share * w));
    const auto top = static_cast<double>(rng.integer(0, h - static_cast<std::int64_t>(height)));
    const auto left = static_cast<double>(rng.integer(0, w - static_cast<std::int64_t>(width)));
    return Box{.top = top, .left = left, .height = height, .width = width};
  });
  const auto of_image = [&](const at::Tensor& x) { return resized_crops(x, chosen.parameters, h, w); };
  const auto of_mask = [&](const at::Tensor& x) { return nearest_crops(x, chosen.parameters, h, w); };
  return {change_rows(batch.images, chosen.rows, of_image), change_rows(batch.masks, chosen.rows, of_mask)};
}

Augmented rotate(const Augmented& batch, const AugmentOptions& o, std::span<Rng> rngs) {
  const Chosen<Motion> chosen = choose(o.affine_probability, rngs, [&](Rng& rng) {
    const double angle = rng.uniform(-o.rotation_max_deg, o.rotation_max_deg);
    return Motion{angle, rng.uniform(1 - o.scale_change_max, 1 + o.scale_change_max)};
  });
  const auto of_image = [&](const at::Tensor& x) { return moved(x, chosen.parameters, Sampling::kBilinear); };
  const auto of_mask = [&](const at::Tensor& x) { return moved(x, chosen.parameters, Sampling::kNearest); };
  return {change_rows(batch.images, chosen.rows, of_image), change_rows(batch.masks, chosen.rows, of_mask)};
}

constexpr std::array<Orientation, 4> kTurns{Orientation::kAsIs, Orientation::kTurn90, Orientation::kTurn180,
                                            Orientation::kTurn270};

// One of: horizontal flip, vertical flip, quarter turns, noise; with equal chances.
Augmented one_of(const Augmented& batch, const AugmentOptions& o, std::span<Rng> rngs) {
  const bool square = batch.images.size(2) == batch.images.size(3);
  Chosen<Orientation> laid;
  Chosen<float> sigma;
  for (std::size_t i = 0; i < rngs.size(); ++i) {
    Rng& rng = rngs[i];
    const auto row = static_cast<std::int64_t>(i);
    const bool is_chosen = rng.bernoulli(o.one_of_probability);
    const std::uint64_t which = rng.below(4);
    const std::uint64_t turns = square ? rng.below(4) : 2 * rng.below(2);
    const auto strength = static_cast<float>(rng.uniform(o.noise_sigma_min, o.noise_sigma_max));
    if (!is_chosen) continue;
    if (which == 3) {
      sigma.rows.push_back(row);
      sigma.parameters.push_back(strength);
      continue;
    }
    laid.rows.push_back(row);
    laid.parameters.push_back(which == 0   ? Orientation::kFlipLeftRight
                              : which == 1 ? Orientation::kFlipUpDown
                                           : kTurns[turns]);
  }
  const auto lay = [&](const at::Tensor& x) { return oriented(x, laid.parameters); };
  return {add_noise(change_rows(batch.images, laid.rows, lay), sigma, rngs), change_rows(batch.masks, laid.rows, lay)};
}

// The paper's list up to the flips: what changes grey values only.
at::Tensor change_greys(at::Tensor images, const AugmentOptions& o, std::span<Rng> rngs) {
  const auto sigma = choose(o.noise_probability, rngs, [&](Rng& rng) {
    return static_cast<float>(rng.uniform(o.noise_sigma_min, o.noise_sigma_max));
  });
  images = add_noise(images, sigma, rngs);
  const auto blurs = choose(o.blur_probability, rngs, [&](Rng& rng) {
    const double sigma_px = rng.uniform(o.blur_sigma_min_px, o.blur_sigma_max_px);
    return Blur{sigma_px, static_cast<int>(rng.integer(o.blur_kernel_min_px / 2, o.blur_kernel_max_px / 2))};
  });
  images = change_rows(images, blurs.rows, [&](const at::Tensor& x) { return blurred(x, blurs.parameters); });
  const auto tones = choose(o.contrast_probability, rngs, [&](Rng& rng) {
    const auto contrast = static_cast<float>(1 + rng.uniform(-o.contrast, o.contrast));
    return Tone{contrast, static_cast<float>(rng.uniform(-o.brightness, o.brightness))};
  });
  images = change_rows(images, tones.rows, [&](const at::Tensor& x) { return toned(x, tones.parameters); });
  const auto scales =
      choose(o.downscale_probability, rngs, [&](Rng& rng) { return rng.uniform(o.downscale_min, 1.0); });
  return change_rows(images, scales.rows, [&](const at::Tensor& x) { return coarsened(x, scales.parameters); });
}

}  // namespace

void AugmentOptions::check() const {
  check_ranges(*this);
  require_option(noise_sigma_min <= noise_sigma_max, "finetune.augment.noise_sigma_min", noise_sigma_min,
                 "at most noise_sigma_max");
  require_option(blur_sigma_min_px <= blur_sigma_max_px, "finetune.augment.blur_sigma_min_px", blur_sigma_min_px,
                 "at most blur_sigma_max_px");
  require_option(blur_kernel_min_px % 2 == 1, "finetune.augment.blur_kernel_min_px", blur_kernel_min_px, "odd");
  require_option(blur_kernel_max_px % 2 == 1, "finetune.augment.blur_kernel_max_px", blur_kernel_max_px, "odd");
  require_option(blur_kernel_min_px <= blur_kernel_max_px, "finetune.augment.blur_kernel_min_px", blur_kernel_min_px,
                 "at most blur_kernel_max_px");
}

void describe(AugmentOptions& o, Fields& f) {
  constexpr Range kSigma_px{.low = 0, .high = 16, .excludes_low = true};
  constexpr Range kKernel_px = within(1, 127);
  f.add("finetune.augment.crop_probability", o.crop_probability, "of a random crop, resized back", kShare);
  f.add("finetune.augment.crop_scale_min", o.crop_scale_min, "smallest side of that crop", kShareAboveZero);
  f.add("finetune.augment.affine_probability", o.affine_probability, "of a rotation and change of scale", kShare);
  f.add("finetune.augment.rotation_max_deg", o.rotation_max_deg, "largest such rotation either way", within(0, 180));
  f.add("finetune.augment.scale_change_max", o.scale_change_max, "largest change of the scale 1 either way",
        kShareBelowOne);
  f.add("finetune.augment.noise_probability", o.noise_probability, "of Gaussian noise", kShare);
  f.add("finetune.augment.noise_sigma_min", o.noise_sigma_min, "in z-units", kNotNegative);
  f.add("finetune.augment.noise_sigma_max", o.noise_sigma_max, "in z-units", kNotNegative);
  f.add("finetune.augment.blur_probability", o.blur_probability, "of Gaussian blur", kShare);
  f.add("finetune.augment.blur_sigma_min_px", o.blur_sigma_min_px, "smallest blur", kSigma_px);
  f.add("finetune.augment.blur_sigma_max_px", o.blur_sigma_max_px, "largest blur", kSigma_px);
  f.add("finetune.augment.blur_kernel_min_px", o.blur_kernel_min_px, "smallest side at which it is cut off, odd",
        kKernel_px);
  f.add("finetune.augment.blur_kernel_max_px", o.blur_kernel_max_px, "largest side at which it is cut off, odd",
        kKernel_px);
  f.add("finetune.augment.contrast_probability", o.contrast_probability, "of a change of brightness and contrast",
        kShare);
  f.add("finetune.augment.brightness", o.brightness, "largest shift, z-units", kNotNegative);
  f.add("finetune.augment.contrast", o.contrast, "largest change of the factor", kShareBelowOne);
  f.add("finetune.augment.downscale_probability", o.downscale_probability, "of a coarser image, nearest both ways",
        kShare);
  f.add("finetune.augment.downscale_min", o.downscale_min, "smallest scale of that", kShareAboveZero);
  f.add("finetune.augment.one_of_probability", o.one_of_probability, "of a flip, quarter turns or noise", kShare);
}

Augmented augment(const at::Tensor& images, const at::Tensor& masks, const AugmentOptions& options,
                  std::span<Rng> rngs) {
  CMUNET_CHECK(images.dim() == 4 && images.size(1) == 1 && images.numel() > 0 && masks.defined() && masks.dim() == 3 &&
                   masks.size(0) == images.size(0) && masks.size(1) == images.size(2) &&
                   masks.size(2) == images.size(3),
               ErrorCode::kInvalidArgument, "[augment] images are ", images.sizes(), " and masks ",
               masks.defined() ? masks.sizes() : at::IntArrayRef(), "; expected [N, 1, H, W] and [N, H, W]");
  CMUNET_CHECK(images.scalar_type() == at::kFloat, ErrorCode::kInvalidArgument, "[augment] images are ",
               at::toString(images.scalar_type()), "; must be Float");
  check_one_per_image(rngs, images);
  const torch::NoGradGuard no_grad;
  Augmented batch{images, masks};
  batch = crop(batch, options, rngs);
  batch = rotate(batch, options, rngs);
  batch.images = change_greys(batch.images, options, rngs);
  return one_of(batch, options, rngs);
}

}  // namespace cmunet::augment
