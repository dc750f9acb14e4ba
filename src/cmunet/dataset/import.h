// SPDX-License-Identifier: Apache-2.0
// Data sets as others lay them out. Each importer only lists files and reads small text files; docs/how-to/
// prepare-your-data.md shows the layouts. All throw kNotFound for what is not there and kCorrupt for a damaged list.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "cmunet/dataset/item.h"
#include "cmunet/vessel/opacification.h"

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

/// X-ray runs below a folder or named by a DICOMDIR: of each run at most `frames_per_run` frames (`choose_frames`).
/// Ids and sources are running numbers (patient, study, series, instance, frame) and no file name, so that nothing of
/// the patient reaches the store; the group is the patient. Runs that cannot be read are left out with a warning.
/// @throws Error kNotFound when no run is left.
std::vector<Item> import_dicom(const std::filesystem::path& folder_or_dicomdir, int frames_per_run,
                               std::optional<Split> split);

/// `count` frames spread evenly over those at least half as filled as the best one, which is among them; when nothing
/// fills, over the last two thirds of the run. Fewer when there are not so many. Ascending.
std::vector<int> choose_frames(const vessel::Opacification& opacification, int count);

}  // namespace cmunet::dataset
