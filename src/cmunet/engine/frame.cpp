// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/frame.h"

#include "cmunet/image/resize.h"

namespace cmunet::engine {

Segmentation segment_frame(const Segmenter& segmenter, const image::ImageF& grey, const image::Mask& field,
                           const preprocess::FrameTraits& traits) {
  Segmentation result = segmenter.segment(preprocess::picture_of_frame(grey, field, traits));
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
