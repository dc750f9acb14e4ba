// SPDX-License-Identifier: Apache-2.0
// A frame of an X-ray run as the networks see pictures: what its header says about its pixels, put right.
#pragma once

#include "cmunet/image/image.h"

namespace cmunet::preprocess {

/// What distinguishes a frame from a picture of intensities on square pixels.
struct FrameTraits {
  double pixel_aspect = 1;  ///< row spacing over column spacing, 0.1…10
  bool is_log = false;      ///< grey values are logarithms of the intensity
};

/// Square pixels: the finer direction keeps its pixels, the coarser one gets more, by bilinear interpolation. Row y of
/// the result lies on row y · H / H' of `image` (pixel edges on pixel edges), columns likewise; spacing follows.
/// @throws Error kInvalidArgument for an empty image or an aspect out of range.
image::ImageF with_square_pixels(const image::ImageF& image, double pixel_aspect);

/// Intensities with square pixels, the field's mean outside the field, so that a shutter neither shifts the
/// normalisation nor looks like a vessel's edge.
/// @param grey   [0, 255], arteries dark, any size. @param field  1 where the picture is; same size
/// @throws Error as above; kInvalidArgument for a field of another size.
image::ImageF picture_of_frame(const image::ImageF& grey, const image::Mask& field, const FrameTraits& traits);

}  // namespace cmunet::preprocess
