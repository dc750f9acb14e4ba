// SPDX-License-Identifier: Apache-2.0
// What an importer finds: images with where their masks are, before anything is decoded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cmunet/dataset/store.h"
#include "cmunet/image/contour.h"

namespace cmunet::dataset {

/// Outlines that together are the mask, in pixels of the image (pixel centres at whole numbers + 0.5, as COCO).
using Polygons = std::vector<std::vector<image::PointF>>;

/// One image to be prepared.
struct Item {
  std::string id;     ///< unique; file name without extension, behind the split's name where two would be equal
  std::string group;  ///< patient; the id when unknown
  std::filesystem::path image;
  std::optional<int> frame;  ///< of a DICOM run; without it `image` is a picture
  std::string source;        ///< what the store says about the origin; the image's path when empty
  std::variant<std::monostate, std::filesystem::path, Polygons> mask;  ///< none, a label file, or outlines
  std::optional<Split> split;                                          ///< when the source says so
  std::optional<image::Spacing> spacing_mm;                            ///< of the source image

  bool has_mask() const { return !std::holds_alternative<std::monostate>(mask); }
};

/// Pixels whose centre lies inside any of the polygons (even-odd rule for each).
image::Mask rasterise(const Polygons& polygons, int height, int width);

}  // namespace cmunet::dataset
