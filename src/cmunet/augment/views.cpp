// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/views.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "cmunet/augment/batch.h"
#include "cmunet/augment/crop.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

std::vector<Corner> draw_corners(int max_shift, std::span<Rng> rngs) {
  std::vector<Corner> corners;
  for (Rng& rng : rngs) {
    const auto top = static_cast<int>(rng.integer(0, max_shift));
    corners.push_back({top, static_cast<int>(rng.integer(0, max_shift))});
  }
  return corners;
}

at::Tensor add_online_noise(const at::Tensor& views, const ViewOptions& options, std::span<Rng> rngs) {
  std::vector<float> fractions;
  for (Rng& rng : rngs) {
    fractions.push_back(rng.bernoulli(options.noise_probability) ? static_cast<float>(options.noise_fraction) : 0.0F);
  }
  // The maximum of a z-scored image is positive unless it is constant; a negative one would be no standard deviation.
  const at::Tensor peak = views.amax({1, 2, 3}, true).clamp_min(0);
  const at::Tensor sigma = send(torch::tensor(fractions).view({-1, 1, 1, 1}), views.device()) * peak;
  return torch::addcmul(views, sigma, normal_noise(views.sizes(), rngs, views.device()));
}

}  // namespace

void ViewOptions::check() const {
  check_ranges(*this);
  require_option(crop_size >= view_size, "pretrain.views.crop_size", crop_size, "at least view_size");
  require_option(max_shift <= crop_size - view_size, "pretrain.views.max_shift", max_shift,
                 "at most crop_size - view_size");
  require_option(area_min <= area_max, "pretrain.views.area_min", area_min, "at most area_max");
}

void describe(ViewOptions& o, Fields& f) {
  f.add("pretrain.views.crop_size", o.crop_size, "side of the random resized crop that both views share, px",
        kPositive);
  f.add("pretrain.views.view_size", o.view_size, "side of a view, px; a multiple of 16", kPositive);
  f.add("pretrain.views.area_min", o.area_min, "smallest crop as a share of the image", kShareAboveZero);
  f.add("pretrain.views.area_max", o.area_max, "largest crop as a share of the image", kShareAboveZero);
  f.add("pretrain.views.aspect_max", o.aspect_max, "largest aspect ratio of a crop", at_least(1));
  f.add("pretrain.views.flip_probability", o.flip_probability, "of a horizontal flip, shared by both views", kShare);
  f.add("pretrain.views.max_shift", o.max_shift, "largest shift of the momentum view, px", kNotNegative);
  f.add("pretrain.views.shift_both", o.shift_both, "shift the online view too");
  f.add("pretrain.views.noise_probability", o.noise_probability, "of noise on the momentum view", kShare);
  f.add("pretrain.views.noise_fraction", o.noise_fraction, "its standard deviation over the view's maximum",
        kNotNegative);
}

at::Tensor normal_noise(at::IntArrayRef shape, std::span<Rng> rngs, const at::Device& device) {
  at::Tensor noise = torch::empty(shape);
  std::int64_t row = 0;
  for (Rng& rng : rngs) noise[row++].normal_(0, 1, at::detail::createCPUGenerator(rng.next()));
  return send(noise, device);
}

Views make_views(const at::Tensor& images, const ViewOptions& options, std::span<Rng> rngs) {
  const torch::NoGradGuard no_grad;
  const at::Tensor crops = random_resized_crops(images,
                                                {.size = options.crop_size,
                                                 .area_min = options.area_min,
                                                 .area_max = options.area_max,
                                                 .aspect_max = options.aspect_max,
                                                 .flip_probability = options.flip_probability},
                                                rngs);
  const std::vector<Corner> fixed(rngs.size());
  const std::vector<Corner> online = options.shift_both ? draw_corners(options.max_shift, rngs) : fixed;
  const std::vector<Corner> momentum = draw_corners(options.max_shift, rngs);
  return {windows(crops, online, options.view_size),
          add_online_noise(windows(crops, momentum, options.view_size), options, rngs)};
}

}  // namespace cmunet::augment
