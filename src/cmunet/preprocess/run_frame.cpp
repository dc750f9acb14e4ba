// SPDX-License-Identifier: Apache-2.0
#include "cmunet/preprocess/run_frame.h"

#include <algorithm>
#include <cmath>

#include "cmunet/image/resize.h"

namespace cmunet::preprocess {
namespace {

// A logarithmic picture is taken to span intensities of 1 : 33, as one of 12 bits windowed to 8 usually does.
constexpr float kLogRange = 3.5F;

float intensity(float log_grey) { return 255 * (std::exp(log_grey / 255 * kLogRange) - 1) / (std::exp(kLogRange) - 1); }

void fill_outside(image::ImageF& grey, const image::Mask& field) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < grey.size(); ++i) {
    if (field.data()[i] == 0) continue;
    sum += static_cast<double>(grey.data()[i]);
    ++count;
  }
  if (count == 0 || count == grey.size()) return;
  const auto mean = static_cast<float>(sum / static_cast<double>(count));
  for (std::size_t i = 0; i < grey.size(); ++i) {
    if (field.data()[i] == 0) grey.data()[i] = mean;
  }
}

}  // namespace

image::ImageF with_square_pixels(const image::ImageF& image, double aspect) {
  CMUNET_CHECK(!image.empty(), ErrorCode::kInvalidArgument, "[prepare] the frame is empty");
  CMUNET_CHECK(aspect >= 0.1 && aspect <= 10, ErrorCode::kInvalidArgument, "[prepare] pixels are ", aspect,
               " times as high as wide; expected 0.1…10");
  if (std::abs(aspect - 1) < 1e-3) return image;
  const int height = aspect > 1 ? static_cast<int>(std::lround(image.height() * aspect)) : image.height();
  const int width = aspect < 1 ? static_cast<int>(std::lround(image.width() / aspect)) : image.width();
  return image::resize_bilinear(image, height, width);
}

image::ImageF picture_of_frame(const image::ImageF& grey, const image::Mask& field, const FrameTraits& traits) {
  image::check_same_size(grey, field, "prepare");
  image::ImageF picture = grey;
  if (traits.is_log) std::transform(picture.begin(), picture.end(), picture.begin(), intensity);
  fill_outside(picture, field);
  return with_square_pixels(picture, traits.pixel_aspect);
}

}  // namespace cmunet::preprocess
