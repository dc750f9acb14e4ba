// SPDX-License-Identifier: Apache-2.0
// One frame of an X-ray run to its vessels.
#pragma once

#include "cmunet/engine/segmenter.h"
#include "cmunet/preprocess/run_frame.h"

namespace cmunet::engine {

/// Vessels on the frame's own grid; mask and probability are 0 outside the field. The network sees
/// `preprocess::picture_of_frame`. @throws Error like it.
Segmentation segment_frame(const Segmenter& segmenter, const image::ImageF& grey, const image::Mask& field,
                           const preprocess::FrameTraits& traits = {});

}  // namespace cmunet::engine
