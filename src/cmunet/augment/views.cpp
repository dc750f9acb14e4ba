// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/views.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "cmunet/base/error.h"
#include "cmunet/image/resize.h"

namespace cmunet::augment {
namespace {

// Windows of `size` px with one (top, left) per image.
at::Tensor windows(const at::Tensor& crops, const std::vector<std::pair<int, int>>& corners, int size) {
  std::vector<at::Tensor> parts;
  for (std::size_t n = 0; n < corners.size(); ++n) {
    parts.push_back(crops[static_cast<std::int64_t>(n)]
                        .slice(1, corners[n].first, corners[n].first + size)
                        .slice(2, corners[n].second, corners[n].second + size));
  }
  return torch::stack(parts);
}

std::vector<std::pair<int, int>> draw_corners(std::int64_t n, int max_shift, Rng& rng) {
  std::vector<std::pair<int, int>> corners;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto top = static_cast<int>(rng.integer(0, max_shift));
    corners.emplace_back(top, static_cast<int>(rng.integer(0, max_shift)));
  }
  return corners;
}

at::Tensor add_noise(const at::Tensor& views, const ViewOptions& options, Rng& rng) {
  std::vector<float> chosen;
  for (std::int64_t n = 0; n < views.size(0); ++n) {
    chosen.push_back(rng.bernoulli(options.noise_probability) ? static_cast<float>(options.noise_fraction) : 0.0F);
  }
  // The maximum of a z-scored image is positive unless it is constant; a negative one would flip the noise's sign.
  const at::Tensor peak = views.amax({1, 2, 3}, true).clamp_min(0);
  const at::Tensor sigma = torch::tensor(chosen).view({-1, 1, 1, 1}).to(views.device()) * peak;
  return views + sigma * normal_noise(views.sizes(), rng, views.device());
}

}  // namespace

void ViewOptions::check() const {
  const auto require = [](bool ok, const char* key, const auto& value, const char* expected) {
    CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[config] pretrain.views.", key, " is ", value, "; must be ",
                 expected);
  };
  require(view_size > 0, "view_size", view_size, "positive");
  require(crop_size >= view_size, "crop_size", crop_size, "at least view_size");
  require(max_shift >= 0 && max_shift <= crop_size - view_size, "max_shift", max_shift,
          "between 0 and crop_size - view_size");
  require(area_min > 0 && area_min <= area_max, "area_min", area_min, "in (0, area_max]");
  require(area_max <= 1, "area_max", area_max, "at most 1");
  require(aspect_max >= 1, "aspect_max", aspect_max, "at least 1");
  require(flip_probability >= 0 && flip_probability <= 1, "flip_probability", flip_probability, "in [0, 1]");
  require(noise_probability >= 0 && noise_probability <= 1, "noise_probability", noise_probability, "in [0, 1]");
  require(noise_fraction >= 0, "noise_fraction", noise_fraction, "at least 0");
}

void describe(ViewOptions& o, Fields& f) {
  f.add("pretrain.views.crop_size", o.crop_size, "side of the random resized crop that both views share, px");
  f.add("pretrain.views.view_size", o.view_size, "side of a view, px; a multiple of 16");
  f.add("pretrain.views.area_min", o.area_min, "smallest crop as a share of the image");
  f.add("pretrain.views.area_max", o.area_max, "largest crop as a share of the image");
  f.add("pretrain.views.aspect_max", o.aspect_max, "largest aspect ratio of a crop");
  f.add("pretrain.views.flip_probability", o.flip_probability, "of a horizontal flip, shared by both views");
  f.add("pretrain.views.max_shift", o.max_shift, "largest shift of the momentum view, px");
  f.add("pretrain.views.shift_both", o.shift_both, "shift the online view too");
  f.add("pretrain.views.noise_probability", o.noise_probability, "of noise on the momentum view");
  f.add("pretrain.views.noise_fraction", o.noise_fraction, "its standard deviation over the view's maximum");
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
    return {top, left, h, w};
  }
  const double w = std::min<double>(width, std::round(height * aspect_max));
  const double h = std::min<double>(height, std::round(width * aspect_max));
  return {std::floor((height - h) / 2), std::floor((width - w) / 2), h, w};
}

at::Tensor resized_crops(const at::Tensor& images, const std::vector<Box>& boxes, int size) {
  const std::int64_t n = images.size(0), height = images.size(2), width = images.size(3);
  CMUNET_CHECK(images.dim() == 4 && images.size(1) == 1 && static_cast<std::int64_t>(boxes.size()) == n,
               ErrorCode::kInvalidArgument, "[resized_crops] images are ", images.sizes(), " with ", boxes.size(),
               " boxes; expected [N, 1, H, W] and N boxes");
  at::Tensor rows = torch::zeros({n, size, height});
  at::Tensor columns = torch::zeros({n, size, width});
  for (std::int64_t i = 0; i < n; ++i) {
    const Box& box = boxes[static_cast<std::size_t>(i)];
    const auto weights_of = [&](at::Tensor& all, std::int64_t in, double start, double length) {
      const std::span<float> part(all.data_ptr<float>() + i * size * in, static_cast<std::size_t>(size * in));
      image::fill_bicubic_weights(part, static_cast<int>(in), start, length, size);
    };
    weights_of(rows, height, box.top, box.height);
    weights_of(columns, width, box.left, box.width);
  }
  // [N, s, H] · [N, H, W] · [N, W, s] -> [N, s, s]
  const at::Tensor squeezed = images.squeeze(1).to(at::kFloat);
  const at::Tensor result = rows.to(images.device()).bmm(squeezed).bmm(columns.to(images.device()).transpose(1, 2));
  return result.unsqueeze(1);
}

at::Tensor normal_noise(at::IntArrayRef shape, Rng& rng, const at::Device& device) {
  const at::Generator generator = at::detail::createCPUGenerator(rng.next());
  return torch::randn(shape, generator).to(device);
}

Views make_views(const at::Tensor& images, const ViewOptions& options, Rng& rng) {
  const std::int64_t n = images.size(0);
  std::vector<Box> boxes;
  std::vector<std::uint8_t> flips;
  for (std::int64_t i = 0; i < n; ++i) {
    boxes.push_back(random_box(static_cast<int>(images.size(2)), static_cast<int>(images.size(3)), options.area_min,
                               options.area_max, options.aspect_max, rng));
    flips.push_back(rng.bernoulli(options.flip_probability) ? 1 : 0);
  }
  at::Tensor crops = resized_crops(images, boxes, options.crop_size);
  const at::Tensor flip = torch::tensor(flips).to(torch::kBool).view({n, 1, 1, 1}).to(images.device());
  crops = torch::where(flip, crops.flip(3), crops);
  const std::vector<std::pair<int, int>> fixed(static_cast<std::size_t>(n), {0, 0});
  const auto online_corners = options.shift_both ? draw_corners(n, options.max_shift, rng) : fixed;
  const auto momentum_corners = draw_corners(n, options.max_shift, rng);
  return {windows(crops, online_corners, options.view_size),
          add_noise(windows(crops, momentum_corners, options.view_size), options, rng)};
}

}  // namespace cmunet::augment
