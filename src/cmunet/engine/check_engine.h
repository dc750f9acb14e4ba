// SPDX-License-Identifier: Apache-2.0
// Do two ways of running a network agree on given images?
#pragma once

#include <cstdint>
#include <span>

#include "cmunet/engine/engine.h"
#include "cmunet/image/image.h"

namespace cmunet::engine {

/// How far the probabilities of two engines lie apart.
struct EngineDifference {
  std::int64_t images = 0, pixels = 0;
  double max = 0;                ///< largest |difference| of a pixel
  double mean = 0;               ///< mean |difference| over all pixels
  std::int64_t mask_pixels = 0;  ///< pixels that are vessel for one engine and not for the other
};

/// Runs both on each image, one after the other. A pixel that only one of them gives as NaN makes `max` and `mean` NaN.
/// @param images     prepared, as for `Engine::vessel_probability`
/// @param threshold  vessel above this probability
/// @throws Error kInternal when an engine gives another size than it was given; as the engines.
EngineDifference compare_engines(Engine& engine, Engine& reference, std::span<const image::ImageF> images,
                                 double threshold = 0.5);

}  // namespace cmunet::engine
