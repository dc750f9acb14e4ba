// SPDX-License-Identifier: Apache-2.0
// From an angiogram as it was taken to its vessels on the same grid: preprocess, engine, threshold, map back.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cmunet/engine/engine.h"
#include "cmunet/image/image.h"
#include "cmunet/preprocess/pipeline.h"

namespace cmunet::engine {

/// Vessels of one image on its own grid.
struct Segmentation {
  image::Mask mask;           ///< 1 where probability > threshold; 0 outside what preprocessing cropped
  image::ImageF probability;  ///< [0, 1]
};

/// Thread-safe when the engine is.
class Segmenter {
 public:
  /// @param threshold  vessel above this probability, in (0, 1); 0.5 unless validation chose another
  Segmenter(std::shared_ptr<Engine> engine, preprocess::Options preprocessing, double threshold = 0.5);

  /// @param grey  [0, 255], any size. @throws Error kInvalidArgument for an empty image.
  Segmentation segment(const image::ImageF& grey) const;
  /// The same for several images at once; the engine sees them as one batch.
  std::vector<Segmentation> segment(std::span<const image::ImageF> grey) const;
  /// 1 where the probability is above the threshold.
  image::Mask mask_of(const image::ImageF& probability) const;

 private:
  std::shared_ptr<Engine> engine_;
  preprocess::Options preprocessing_;
  double threshold_;
};

}  // namespace cmunet::engine
