// SPDX-License-Identifier: Apache-2.0
// The one way in which this module opens a DICOM file that it did not write.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

class DcmFileFormat;

namespace cmunet::dicom {

/// Reads everything but large values, which stay in the file until they are asked for. A file that is damaged behind
/// the beginning of its pixel data is opened, and `oddities` says so.
/// @throws Error kNotFound, kInvalidArgument (no file), kCorrupt.
void open_object(DcmFileFormat& object, const std::filesystem::path& file, std::vector<std::string>& oddities);

}  // namespace cmunet::dicom
