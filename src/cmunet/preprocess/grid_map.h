// SPDX-License-Identifier: Apache-2.0
// How the square grid that the network sees lies on the picture it was made from, and the way back.
#pragma once

#include <string>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"

namespace cmunet::preprocess {

/// A window of the source picture, resampled to `height` x `width`. All in pixels. Where the window reaches beyond the
/// source (a negative corner, or a far edge past the end), the picture was continued by reflection.
struct GridMap {
  int source_height = 0;
  int source_width = 0;
  int crop_top = 0;   ///< source row of the window's first row; negative when rows were added above
  int crop_left = 0;  ///< source column of the window's first column
  int crop_height = 0;
  int crop_width = 0;
  int height = 0;  ///< of the network's grid
  int width = 0;
  bool operator==(const GridMap&) const = default;
};

/// The centred window of side `crop_px` (0: the longer side of the source, so that nothing is lost), on a square grid
/// of side `size_px`. @throws Error kInvalidArgument unless source and size are positive and crop is not negative;
/// kUnsupported when source, window or grid have more than 2^28 pixels, as when a very long picture would be padded.
GridMap square_map(int source_height, int source_width, int crop_px, int size_px);

/// An object with the eight members by name.
Json to_json(const GridMap& map);
/// @throws Error kCorrupt naming `origin`: a key is missing, unknown or of the wrong type, or a size is not usable.
GridMap grid_map_from_json(const Json& json, const std::string& origin);

/// The window of `image`, before resampling; beyond the image it is continued by half-sample symmetric reflection
/// (d c b a | a b c d | d c b a), repeated as often as needed. Spacing is kept.
/// @throws Error kInvalidArgument unless `image` has the source's size.
image::ImageF cut_window(const image::ImageF& image, const GridMap& map);
image::Mask cut_window(const image::Mask& mask, const GridMap& map);

/// Values on the network's grid brought back to the source's grid by bilinear interpolation between pixel centres
/// (clamped at the grid's edge); source pixels outside the window become `outside`. Spacing, when the values carry one,
/// is scaled back. Exact when the window was not resampled.
/// @throws Error kInvalidArgument unless `values` has the map's height and width.
image::ImageF to_source_grid(const image::ImageF& values, const GridMap& map, float outside);
/// The same for masks: source pixel i takes grid pixel floor((i - crop + 0.5) * size / crop size), 0 outside. Exact
/// when the window was not resampled, and after `prepare_mask` when it was enlarged by a whole factor.
image::Mask to_source_grid(const image::Mask& mask, const GridMap& map);

}  // namespace cmunet::preprocess
