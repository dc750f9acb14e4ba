// SPDX-License-Identifier: Apache-2.0
// Data sets as others lay them out. Each importer only lists files and reads small text files; docs/how-to/
// prepare-your-data.md shows the layouts. All throw kNotFound for what is not there and kCorrupt for a damaged list.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "cmunet/dataset/item.h"

namespace cmunet::dataset {

/// Every picture of a folder; its mask is the picture of the same name in `masks` (any extension), when that is given.
/// @throws Error kCorrupt listing images without a mask, when `masks` is given; kNotFound when there is no image.
std::vector<Item> import_folder(const std::filesystem::path& images, const std::filesystem::path& masks,
                                std::optional<Split> split);

/// COCO JSON with polygons, as ARCADE: the mask of an image is the union of its annotations. With `category`, only
/// annotations of that name count ("" = all but "stenosis").
std::vector<Item> import_coco(const std::filesystem::path& json, const std::filesystem::path& images,
                              const std::string& category, std::optional<Split> split);

/// nnU-Net's raw layout: dataset.json, imagesTr/NAME_0000.ext, labelsTr/NAME.ext, optional imagesTs and labelsTs
/// (test).
std::vector<Item> import_nnunet(const std::filesystem::path& dir);

/// CSV with a header line and the columns path, and optionally mask, patient, split, spacing ("0.2" or "0.2 0.25" mm).
/// Paths are relative to the file. Quotes as RFC 4180.
std::vector<Item> import_csv(const std::filesystem::path& csv);

}  // namespace cmunet::dataset
