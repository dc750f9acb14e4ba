// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/segmenter.h"

#include <algorithm>
#include <utility>

namespace cmunet::engine {

Segmenter::Segmenter(std::shared_ptr<Engine> engine, preprocess::Options preprocessing, double threshold)
    : engine_(std::move(engine)), preprocessing_(std::move(preprocessing)), threshold_(threshold) {
  CMUNET_CHECK(threshold > 0 && threshold < 1, ErrorCode::kInvalidArgument, "[segment] threshold is ", threshold,
               "; must lie between 0 and 1");
}

Segmentation Segmenter::segment(const image::ImageF& grey) const {
  return std::move(segment(std::span(&grey, 1)).front());
}

std::vector<Segmentation> Segmenter::segment(std::span<const image::ImageF> grey) const {
  std::vector<image::ImageF> prepared;
  std::vector<preprocess::GridMap> maps;
  for (const image::ImageF& picture : grey) {
    CMUNET_CHECK(!picture.empty(), ErrorCode::kInvalidArgument, "[segment] the image is empty");
    preprocess::Prepared result = preprocess::prepare_image(picture, preprocessing_);
    prepared.push_back(std::move(result.image));
    maps.push_back(result.map);
  }
  const std::vector<image::ImageF> probabilities = engine_->vessel_probability(prepared);
  std::vector<Segmentation> results;
  for (std::size_t i = 0; i < grey.size(); ++i) {
    Segmentation result;
    // The probability is mapped and then cut, not the mask: edges stay smooth on finer grids.
    result.probability = preprocess::to_source_grid(probabilities[i], maps[i], 0.0F);
    result.probability.spacing_mm = grey[i].spacing_mm;
    result.mask = mask_of(result.probability);
    results.push_back(std::move(result));
  }
  return results;
}

image::Mask Segmenter::mask_of(const image::ImageF& probability) const {
  image::Mask mask(probability.height(), probability.width());
  mask.spacing_mm = probability.spacing_mm;
  std::transform(probability.begin(), probability.end(), mask.begin(),
                 [this](float p) -> std::uint8_t { return static_cast<double>(p) > threshold_ ? 1 : 0; });
  return mask;
}

}  // namespace cmunet::engine
