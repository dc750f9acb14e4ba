// SPDX-License-Identifier: Apache-2.0
// The one way in which this module opens a DICOM file that it did not write.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/dicom/structure.h"

class DcmFileFormat;

namespace cmunet::dicom {

/// Checks the structure, then reads everything but large values, which stay in the file until they are asked for. A
/// file that is damaged within its pixel data is opened, and `oddities` says so.
/// @returns false for such a file @throws Error like `check_structure`.
bool open_object(DcmFileFormat& object, const std::filesystem::path& file, std::vector<std::string>& oddities,
                 Part part = Part::kWhole);

}  // namespace cmunet::dicom
