// SPDX-License-Identifier: Apache-2.0
// From an angiogram as it was taken to its vessels on the same grid: preprocess, engine, map back, post-process.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cmunet/engine/engine.h"
#include "cmunet/engine/postprocess.h"
#include "cmunet/image/image.h"
#include "cmunet/preprocess/pipeline.h"

namespace cmunet::engine {

/// Vessels of one image on its own grid.
struct Segmentation {
  image::Mask mask;           ///< after post-processing; 0 outside what preprocessing cropped
  image::ImageF probability;  ///< [0, 1]; with flips their mean
  image::Mask bridges;        ///< pixels of `mask` that only the bridging of gaps has set
};

/// Thread-safe when the engine is.
class Segmenter {
 public:
  /// @param postprocessing  by default a threshold of 0.5 alone. Its lengths and areas are in pixels of the network's
  ///                        grid and are scaled to each image's. @throws Error kInvalidArgument as its `check`.
  Segmenter(std::shared_ptr<Engine> engine, preprocess::Options preprocessing, PostprocessOptions postprocessing = {});

  /// @param grey  [0, 255], any size. @throws Error kInvalidArgument for an empty image.
  Segmentation segment(const image::ImageF& grey) const;
  /// The same for several images at once; the engine sees them as one batch.
  std::vector<Segmentation> segment(std::span<const image::ImageF> grey) const;
  /// What follows the network, on the grid of an image of the probability's size.
  Segmentation post_process(image::ImageF probability) const;

 private:
  std::shared_ptr<Engine> engine_;
  preprocess::Options preprocessing_;
  PostprocessOptions postprocessing_;
};

}  // namespace cmunet::engine
