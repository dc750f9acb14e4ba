// SPDX-License-Identifier: Apache-2.0
// How the grid that a network sees lies on the image it came from, and the way back.
#pragma once

#include <string>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"

namespace cmunet::preprocess {

/// A box of the source image, resized to height × width. The centre of grid pixel (i, j) lies in the source at
/// y = crop_top + (i + 0.5) · crop_height / height − 0.5, and x likewise: edges map onto edges.
struct GridMap {
  int source_height = 0, source_width = 0;  ///< the image as it was read, px
  int crop_top = 0, crop_left = 0;          ///< of the box in the source; negative where it was padded
  int crop_height = 0, crop_width = 0;      ///< of the box, source px
  int height = 0, width = 0;                ///< the grid that a network sees, px

  bool operator==(const GridMap&) const = default;
  /// @throws Error kInvalidArgument when a size is not positive, or the source or box is larger than 2^28 pixels.
  void check() const;
};

Json to_json(const GridMap& map);
/// `origin` names the file in errors. @throws Error kCorrupt on a missing or unknown key, a wrong type or a bad size.
GridMap grid_map_from_json(const Json& json, const std::string& origin);

/// Brings values on the network's grid, such as probabilities, back to the image's own grid: bilinear, antialiased
/// where that grid is coarser, never beyond the range of `values`. Source pixels outside the box become `outside`.
/// Equal sizes give equal values. Spacing is scaled. @throws Error kInvalidArgument unless `values` is height × width.
image::ImageF to_source_grid(const image::ImageF& values, const GridMap& map, float outside);
/// The same for a mask: nearest neighbour, 0 outside the box. Exact on whole-number factors.
image::Mask to_source_grid(const image::Mask& mask, const GridMap& map);

}  // namespace cmunet::preprocess
