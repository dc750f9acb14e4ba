// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cmunet::cli {

/// Does the file begin like DICOM, and have no image's ending? Not one that is not there.
bool is_dicom(const std::filesystem::path& file);

/// The files of a folder with an image's ending, by name.
std::vector<std::filesystem::path> images_in(const std::filesystem::path& folder);

/// The files that were named, and those with an image's ending in the folders that were named, by name; a file that is
/// not there is among them, for its reader to report. A folder without images is a warning. @param operation  for
/// messages. @throws Error kNotFound when there is none at all.
std::vector<std::filesystem::path> find_images(const std::vector<std::string>& inputs, const char* operation);

}  // namespace cmunet::cli
