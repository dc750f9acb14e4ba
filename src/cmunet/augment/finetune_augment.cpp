// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/finetune_augment.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cmunet/augment/views.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

// Half width that holds a Gaussian of the largest sigma to 4 standard deviations, but at least the paper's 5-px kernel.
int blur_radius(const AugmentOptions& options) {
  return std::max(2, static_cast<int>(std::ceil(4 * options.blur_sigma_max_px)));
}

// One number per image, as a [N, 1, 1, 1] tensor on the images' device.
at::Tensor per_image(const std::vector<float>& values, const at::Tensor& images) {
  return torch::tensor(values).view({-1, 1, 1, 1}).to(images.device());
}

std::vector<float> draw(std::int64_t n, double probability, double low, double high, float otherwise, Rng& rng) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < n; ++i) {
    const bool chosen = rng.bernoulli(probability);
    const auto value = static_cast<float>(rng.uniform(low, high));  // drawn in any case: one stream whatever is chosen
    values.push_back(chosen ? value : otherwise);
  }
  return values;
}

bool any_differs(const std::vector<float>& values, float from) {
  return std::any_of(values.begin(), values.end(), [from](float v) { return v != from; });
}

at::Tensor add_noise(const at::Tensor& images, const std::vector<float>& sigma, Rng& rng) {
  const std::uint64_t seed = rng.next();
  if (!any_differs(sigma, 0)) return images;
  Rng noise(seed);
  return images + per_image(sigma, images) * normal_noise(images.sizes(), noise, images.device());
}

// Separable Gaussian with one sigma per image, as a grouped convolution; sigma 0 leaves the image as it is.
at::Tensor blur(const at::Tensor& images, const std::vector<float>& sigma, int radius) {
  if (!any_differs(sigma, 0)) return images;
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3), taps = 2 * radius + 1;
  at::Tensor kernels = torch::zeros({n, taps});
  for (std::int64_t i = 0; i < n; ++i) {
    float* k = kernels.data_ptr<float>() + i * taps;
    const double s = static_cast<double>(sigma[static_cast<std::size_t>(i)]);
    double sum = 0;
    for (int t = -radius; t <= radius; ++t) {
      const double value = s > 0 ? std::exp(-0.5 * t * t / (s * s)) : (t == 0 ? 1.0 : 0.0);
      k[t + radius] = static_cast<float>(value);
      sum += value;
    }
    for (std::int64_t t = 0; t < taps; ++t) k[t] = static_cast<float>(static_cast<double>(k[t]) / sum);
  }
  kernels = kernels.to(images.device());
  at::Tensor x = torch::nn::functional::pad(
      images, torch::nn::functional::PadFuncOptions({radius, radius, radius, radius}).mode(torch::kReflect));
  x = x.view({1, n, h + 2 * radius, w + 2 * radius});
  x = torch::conv2d(x, kernels.view({n, 1, taps, 1}), at::Tensor(), 1, at::IntArrayRef({0, 0}), 1, n);
  x = torch::conv2d(x, kernels.view({n, 1, 1, taps}), at::Tensor(), 1, at::IntArrayRef({0, 0}), 1, n);
  return x.view({n, 1, h, w});
}

// Indices that shrink `size` pixels by `scale` and enlarge them again, both by nearest neighbour.
std::vector<std::int64_t> there_and_back(std::int64_t size, double scale) {
  const auto small = std::max<std::int64_t>(1, std::llround(static_cast<double>(size) * scale));
  const auto nearest = [](std::int64_t i, std::int64_t in, std::int64_t out) {
    return std::min(in - 1, static_cast<std::int64_t>((static_cast<double>(i) + 0.5) * static_cast<double>(in) /
                                                      static_cast<double>(out)));
  };
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < size; ++i) indices.push_back(nearest(nearest(i, small, size), size, small));
  return indices;
}

at::Tensor downscale(const at::Tensor& images, const std::vector<float>& scale) {
  if (!any_differs(scale, 1)) return images;
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < scale.size(); ++i) {
    at::Tensor picture = images[static_cast<std::int64_t>(i)];
    if (scale[i] != 1) {
      const auto s = static_cast<double>(scale[i]);
      picture = picture.index_select(1, torch::tensor(there_and_back(images.size(2), s)).to(images.device()))
                    .index_select(2, torch::tensor(there_and_back(images.size(3), s)).to(images.device()));
    }
    parts.push_back(picture);
  }
  return torch::stack(parts);
}

// Random crops of a square part, resized back: bicubic for images, nearest for masks.
Augmented crop(const Augmented& batch, const AugmentOptions& options, Rng& rng) {
  const std::int64_t n = batch.images.size(0), h = batch.images.size(2), w = batch.images.size(3);
  std::vector<at::Tensor> images, masks;
  for (std::int64_t i = 0; i < n; ++i) {
    const bool chosen = rng.bernoulli(options.crop_probability);
    const double share = rng.uniform(options.crop_scale_min, 1.0);
    const auto ch = std::llround(share * static_cast<double>(h)), cw = std::llround(share * static_cast<double>(w));
    const std::int64_t top = rng.integer(0, h - ch), left = rng.integer(0, w - cw);
    at::Tensor picture = batch.images.narrow(0, i, 1), mask = batch.masks.narrow(0, i, 1);
    if (chosen) {
      namespace F = torch::nn::functional;
      picture = F::interpolate(
          picture.narrow(2, top, ch).narrow(3, left, cw),
          F::InterpolateFuncOptions().size(std::vector<std::int64_t>{h, w}).mode(torch::kBicubic).align_corners(false));
      mask = F::interpolate(mask.narrow(1, top, ch).narrow(2, left, cw).unsqueeze(1),
                            F::InterpolateFuncOptions().size(std::vector<std::int64_t>{h, w}).mode(torch::kNearest))
                 .squeeze(1);
    }
    images.push_back(picture);
    masks.push_back(mask);
  }
  return {torch::cat(images), torch::cat(masks)};
}

// One of: horizontal flip, vertical flip, quarter turns, noise; with equal chances.
Augmented one_of(const Augmented& batch, const AugmentOptions& options, Rng& rng) {
  const std::int64_t n = batch.images.size(0);
  const bool square = batch.images.size(2) == batch.images.size(3);
  std::vector<at::Tensor> images, masks;
  std::vector<float> sigma;
  for (std::int64_t i = 0; i < n; ++i) {
    const bool chosen = rng.bernoulli(options.one_of_probability);
    const std::uint64_t which = rng.below(4);
    const auto turns = static_cast<std::int64_t>(square ? rng.below(4) : 2 * rng.below(2));
    const auto noise = static_cast<float>(rng.uniform(options.noise_sigma_min, options.noise_sigma_max));
    at::Tensor picture = batch.images[i][0], mask = batch.masks[i];
    sigma.push_back(chosen && which == 3 ? noise : 0.0F);
    if (chosen && which == 0) picture = picture.flip(1), mask = mask.flip(1);
    if (chosen && which == 1) picture = picture.flip(0), mask = mask.flip(0);
    if (chosen && which == 2) picture = picture.rot90(turns), mask = mask.rot90(turns);
    images.push_back(picture);
    masks.push_back(mask);
  }
  return {add_noise(torch::stack(images).unsqueeze(1), sigma, rng), torch::stack(masks)};
}

}  // namespace

void AugmentOptions::check() const {
  const auto require = [](bool ok, const char* key, double value, const char* expected) {
    CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[config] finetune.augment.", key, " is ", value, "; must be ",
                 expected);
  };
  const auto probability = [&](const char* key, double value) {
    require(value >= 0 && value <= 1, key, value, "in [0, 1]");
  };
  probability("noise_probability", noise_probability);
  probability("blur_probability", blur_probability);
  probability("contrast_probability", contrast_probability);
  probability("downscale_probability", downscale_probability);
  probability("one_of_probability", one_of_probability);
  probability("crop_probability", crop_probability);
  require(noise_sigma_min >= 0 && noise_sigma_min <= noise_sigma_max, "noise_sigma_min", noise_sigma_min,
          "between 0 and noise_sigma_max");
  require(blur_sigma_min_px > 0 && blur_sigma_min_px <= blur_sigma_max_px && blur_sigma_max_px <= 16,
          "blur_sigma_min_px", blur_sigma_min_px, "positive and at most blur_sigma_max_px, which is at most 16");
  require(brightness >= 0, "brightness", brightness, "at least 0");
  require(contrast >= 0 && contrast < 1, "contrast", contrast, "in [0, 1)");
  require(downscale_min > 0 && downscale_min <= 1, "downscale_min", downscale_min, "in (0, 1]");
  require(crop_scale_min > 0 && crop_scale_min <= 1, "crop_scale_min", crop_scale_min, "in (0, 1]");
}

void describe(AugmentOptions& o, Fields& f) {
  f.add("finetune.augment.noise_probability", o.noise_probability, "of Gaussian noise");
  f.add("finetune.augment.noise_sigma_min", o.noise_sigma_min, "in z-units");
  f.add("finetune.augment.noise_sigma_max", o.noise_sigma_max, "in z-units");
  f.add("finetune.augment.blur_probability", o.blur_probability, "of Gaussian blur");
  f.add("finetune.augment.blur_sigma_min_px", o.blur_sigma_min_px, "smallest blur");
  f.add("finetune.augment.blur_sigma_max_px", o.blur_sigma_max_px, "largest blur");
  f.add("finetune.augment.contrast_probability", o.contrast_probability, "of a change of brightness and contrast");
  f.add("finetune.augment.brightness", o.brightness, "largest shift, z-units");
  f.add("finetune.augment.contrast", o.contrast, "largest change of the factor");
  f.add("finetune.augment.downscale_probability", o.downscale_probability, "of a coarser image, nearest both ways");
  f.add("finetune.augment.downscale_min", o.downscale_min, "smallest scale of that");
  f.add("finetune.augment.one_of_probability", o.one_of_probability, "of a flip, quarter turns or noise");
  f.add("finetune.augment.crop_probability", o.crop_probability, "of a random crop, resized back");
  f.add("finetune.augment.crop_scale_min", o.crop_scale_min, "smallest side of that crop");
}

Augmented augment(const at::Tensor& images, const at::Tensor& masks, const AugmentOptions& o, Rng& rng) {
  CMUNET_CHECK(images.dim() == 4 && images.size(1) == 1 && masks.dim() == 3 && masks.size(0) == images.size(0) &&
                   masks.size(1) == images.size(2) && masks.size(2) == images.size(3),
               ErrorCode::kInvalidArgument, "[augment] images are ", images.sizes(), " and masks ", masks.sizes(),
               "; expected [N, 1, H, W] and [N, H, W]");
  const torch::NoGradGuard no_grad;
  const std::int64_t n = images.size(0);
  Augmented batch{images, masks};
  if (o.crop_probability > 0) batch = crop(batch, o, rng);
  const auto sigma = draw(n, o.noise_probability, o.noise_sigma_min, o.noise_sigma_max, 0, rng);
  batch.images = add_noise(batch.images, sigma, rng);
  const auto blur_sigma = draw(n, o.blur_probability, o.blur_sigma_min_px, o.blur_sigma_max_px, 0, rng);
  batch.images = blur(batch.images, blur_sigma, blur_radius(o));
  std::vector<float> factor, shift;
  for (std::int64_t i = 0; i < n; ++i) {
    const bool chosen = rng.bernoulli(o.contrast_probability);
    const auto f = static_cast<float>(1 + rng.uniform(-o.contrast, o.contrast));
    const auto s = static_cast<float>(rng.uniform(-o.brightness, o.brightness));
    factor.push_back(chosen ? f : 1.0F);
    shift.push_back(chosen ? s : 0.0F);
  }
  if (any_differs(factor, 1) || any_differs(shift, 0)) {
    batch.images = batch.images * per_image(factor, images) + per_image(shift, images);
  }
  batch.images = downscale(batch.images, draw(n, o.downscale_probability, o.downscale_min, 1.0, 1, rng));
  return one_of(batch, o, rng);
}

}  // namespace cmunet::augment
