// SPDX-License-Identifier: Apache-2.0
#include "cmunet/preprocess/pipeline.h"

#include <algorithm>
#include <cmath>

#include "cmunet/image/resize.h"
#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

template <typename T>
void check_not_empty(const image::Image<T>& image) {
  CMUNET_CHECK(!image.empty(), ErrorCode::kInvalidArgument, "[prepare] the image is ", image.height(), "x",
               image.width(), "; it must have pixels");
}

}  // namespace

void normalise_in_place(image::ImageF& image, const Options& options) {
  if (options.normalise == Normalise::kNone) return;
  double mean = options.dataset_mean;
  double sd = options.dataset_sd;
  if (options.normalise == Normalise::kPerImage) {
    const auto count = static_cast<double>(image.size());
    double sum = 0;
    for (const float v : image) sum += double{v};
    mean = sum / count;
    double squares = 0;
    for (const float v : image) squares += (double{v} - mean) * (double{v} - mean);
    sd = std::sqrt(squares / count);
    // Below a thousandth of a grey level there is only rounding, which must not be blown up to noise.
    constexpr double kConstantSd = 1e-3;
    if (sd < kConstantSd) {
      std::fill(image.begin(), image.end(), 0.0F);
      return;
    }
  }
  for (float& v : image) v = static_cast<float>((double{v} - mean) / sd);
}

Prepared prepare_image(const image::ImageF& grey, const Options& options) {
  options.check();
  check_not_empty(grey);
  const bool finite = std::all_of(grey.begin(), grey.end(), [](float v) { return std::isfinite(v); });
  CMUNET_CHECK(finite, ErrorCode::kInvalidArgument, "[prepare] the image has values that are not finite");

  Prepared prepared;
  prepared.map = square_map(grey.height(), grey.width(), options.crop, options.size);
  image::ImageF image = cut_window(grey, prepared.map);
  if (options.inpaint_corners) image = inpaint_corners(image, options);
  if (options.unsharp) image = unsharp_mask(image, options.unsharp_radius, options.unsharp_amount);
  const bool same_size = image.height() == options.size && image.width() == options.size;
  prepared.image = same_size ? std::move(image) : image::resize_bicubic(image, options.size, options.size);
  normalise_in_place(prepared.image, options);
  return prepared;
}

image::Mask prepare_mask(const image::Mask& mask, const Options& options) {
  options.check();
  check_not_empty(mask);
  const bool binary = std::all_of(mask.begin(), mask.end(), [](std::uint8_t v) { return v <= 1; });
  CMUNET_CHECK(binary, ErrorCode::kInvalidArgument, "[prepare] the mask has values other than 0 and 1");

  const GridMap map = square_map(mask.height(), mask.width(), options.crop, options.size);
  const image::Mask window = cut_window(smooth_mask(mask, options.mask_smoothing), map);
  return image::resize_nearest(window, options.size, options.size);
}

}  // namespace cmunet::preprocess
