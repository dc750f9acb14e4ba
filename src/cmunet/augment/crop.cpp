// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/crop.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {

void CropOptions::check(const std::string& section, int multiple) const {
  CropOptions described = *this;
  Fields fields;
  describe(described, section, fields);
  fields.check();
  require_option(size % multiple == 0, section + ".size", size, "a multiple of ", multiple);
  require_option(area_min <= area_max, section + ".area_min", area_min, "at most area_max");
}

void describe(CropOptions& o, const std::string& section, Fields& f) {
  f.add(section + ".size", o.size, "side of what the network sees, px", kPositive);
  f.add(section + ".area_min", o.area_min, "smallest crop as a share of the image", kShareAboveZero);
  f.add(section + ".area_max", o.area_max, "largest crop as a share of the image", kShareAboveZero);
  f.add(section + ".aspect_max", o.aspect_max, "largest aspect ratio of a crop", at_least(1));
  f.add(section + ".flip_probability", o.flip_probability, "of a horizontal flip", kShare);
}

at::Tensor random_resized_crops(const at::Tensor& images, const CropOptions& options, std::span<Rng> rngs) {
  CMUNET_CHECK(images.dim() == 4 && images.size(1) == 1 && images.numel() > 0, ErrorCode::kInvalidArgument,
               "[crop] images are ", images.sizes(), "; expected [N, 1, H, W]");
  const torch::NoGradGuard no_grad;
  check_one_per_image(rngs, images);
  std::vector<Box> boxes;
  for (Rng& rng : rngs) {
    boxes.push_back(random_box(static_cast<int>(images.size(2)), static_cast<int>(images.size(3)), options.area_min,
                               options.area_max, options.aspect_max, rng));
    boxes.back().mirrored = rng.bernoulli(options.flip_probability);
  }
  return resized_crops(images, boxes, options.size, options.size);
}

Box random_box(int height, int width, double area_min, double area_max, double aspect_max, Rng& rng) {
  const double area = static_cast<double>(height) * width;
  const double log_aspect = std::log(aspect_max);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * rng.uniform(area_min, area_max);
    const double aspect = std::exp(rng.uniform(-log_aspect, log_aspect));
    const double w = std::round(std::sqrt(target * aspect));
    const double h = std::round(std::sqrt(target / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top = static_cast<double>(rng.integer(0, height - static_cast<std::int64_t>(h)));
    const auto left = static_cast<double>(rng.integer(0, width - static_cast<std::int64_t>(w)));
    return {.top = top, .left = left, .height = h, .width = w};
  }
  const double w = std::min<double>(width, std::round(height * aspect_max));
  const double h = std::min<double>(height, std::round(width * aspect_max));
  return {.top = std::floor((height - h) / 2), .left = std::floor((width - w) / 2), .height = h, .width = w};
}

}  // namespace cmunet::augment
