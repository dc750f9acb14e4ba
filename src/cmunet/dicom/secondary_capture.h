// SPDX-License-Identifier: Apache-2.0
// A picture of a frame with its vessels marked, for viewers that show no segmentations (PS3.3, A.8.1).
#pragma once

#include <filesystem>

#include "cmunet/dicom/result_object.h"
#include "cmunet/image/image.h"

namespace cmunet::dicom {

/// Writes one colour picture, with "NOT FOR CLINICAL USE" drawn into its pixels: they outlive every header. Atomically.
/// @param frame    0-based, of the source; Source Image Sequence points at it
/// @param picture  any size from 16 px a side
/// @throws Error kInvalidArgument for a frame that the source has not or a smaller picture; kIo.
void write_secondary_capture(const std::filesystem::path& path, const ResultSource& source, int frame,
                             image::ImageRgb picture, const ResultOptions& options = {});

}  // namespace cmunet::dicom
