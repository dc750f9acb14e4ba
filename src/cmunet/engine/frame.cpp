// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/frame.h"

#include <algorithm>
#include <cmath>

#include "cmunet/image/resize.h"

namespace cmunet::engine {
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

// The finer direction keeps its pixels, the coarser one gets more.
image::ImageF with_square_pixels(const image::ImageF& grey, double aspect) {
  if (std::abs(aspect - 1) < 1e-3) return grey;
  const int height = aspect > 1 ? static_cast<int>(std::lround(grey.height() * aspect)) : grey.height();
  const int width = aspect < 1 ? static_cast<int>(std::lround(grey.width() / aspect)) : grey.width();
  return image::resize_bilinear(grey, height, width);
}

}  // namespace

Segmentation segment_frame(const Segmenter& segmenter, const image::ImageF& grey, const image::Mask& field,
                           const FrameTraits& traits) {
  image::check_same_size(grey, field, "segment");
  CMUNET_CHECK(!grey.empty(), ErrorCode::kInvalidArgument, "[segment] the frame is empty");
  CMUNET_CHECK(traits.pixel_aspect >= 0.1 && traits.pixel_aspect <= 10, ErrorCode::kInvalidArgument,
               "[segment] pixels are ", traits.pixel_aspect, " times as high as wide; expected 0.1…10");
  image::ImageF input = grey;
  if (traits.is_log) std::transform(input.begin(), input.end(), input.begin(), intensity);
  fill_outside(input, field);
  Segmentation result = segmenter.segment(with_square_pixels(input, traits.pixel_aspect));
  if (result.mask.height() != grey.height() || result.mask.width() != grey.width()) {
    result = segmenter.post_process(image::resize_bilinear(result.probability, grey.height(), grey.width()));
  }
  for (std::size_t i = 0; i < grey.size(); ++i) {
    if (field.data()[i] != 0) continue;
    result.probability.data()[i] = 0;
    result.mask.data()[i] = result.bridges.data()[i] = 0;
  }
  result.probability.spacing_mm = result.mask.spacing_mm = result.bridges.spacing_mm = grey.spacing_mm;
  return result;
}

}  // namespace cmunet::engine
