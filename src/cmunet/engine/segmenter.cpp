// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/segmenter.h"

#include <utility>

namespace cmunet::engine {

Segmenter::Segmenter(std::shared_ptr<Engine> engine, preprocess::Options preprocessing,
                     PostprocessOptions postprocessing)
    : engine_(std::move(engine)), preprocessing_(preprocessing), postprocessing_(postprocessing) {
  postprocessing_.check();
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
  const std::vector<image::ImageF> probabilities = vessel_probability(*engine_, prepared, postprocessing_.flips);
  std::vector<Segmentation> results;
  for (std::size_t i = 0; i < grey.size(); ++i) {
    // The probability is mapped and then cut, not the mask: edges stay smooth on finer grids.
    image::ImageF probability = preprocess::to_source_grid(probabilities[i], maps[i], 0.0F);
    probability.spacing_mm = grey[i].spacing_mm;
    results.push_back(post_process(std::move(probability)));
  }
  return results;
}

Segmentation Segmenter::post_process(image::ImageF probability) const {
  const preprocess::GridMap map =
      preprocess::square_map(probability.height(), probability.width(), preprocessing_.crop, preprocessing_.size);
  const double factor = static_cast<double>(map.crop_height) / map.height;
  Postprocessed done = postprocess(probability, postprocessing_.scaled(factor));
  return {std::move(done.mask), std::move(probability), std::move(done.bridges)};
}

}  // namespace cmunet::engine
