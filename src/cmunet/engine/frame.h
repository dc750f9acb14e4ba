// SPDX-License-Identifier: Apache-2.0
// One frame of an X-ray run to its vessels: what a run's header says about its pixels, put right for the network.
#pragma once

#include "cmunet/engine/segmenter.h"

namespace cmunet::engine {

/// What distinguishes a frame from the pictures that a network was trained on.
struct FrameTraits {
  double pixel_aspect = 1;  ///< row spacing over column spacing, 0.1…10: the network sees square pixels
  bool is_log = false;      ///< grey values are logarithms of the intensity: the network sees intensities
};

/// Vessels on the frame's own grid; mask and probability are 0 outside the field. The network sees the field's mean
/// there, so that a shutter neither shifts the normalisation nor looks like a vessel's edge.
/// @param grey   [0, 255], arteries dark, any size. @param field  1 where the picture is; same size
/// @throws Error kInvalidArgument on an empty frame, a field of another size, an aspect out of range.
Segmentation segment_frame(const Segmenter& segmenter, const image::ImageF& grey, const image::Mask& field,
                           const FrameTraits& traits = {});

}  // namespace cmunet::engine
