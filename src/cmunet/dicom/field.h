// SPDX-License-Identifier: Apache-2.0
// Where the picture is: inside the display shutters and away from overlay graphics.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cmunet/image/image.h"

class DcmItem;

namespace cmunet::dicom {

/// 1 where the picture is. Shutters: PS3.3 C.7.6.11. Overlays: PS3.3 C.9.2 and C.9.3.
/// @param aspect  row / column spacing: a circular shutter is round in the patient, and counts pixels along a row
/// @param frame   whose shutters (Enhanced XA has them per frame) and overlay planes; without it the first frame's
///                shutters and all planes together
image::Mask read_field(DcmItem& dataset, int height, int width, double aspect, std::optional<int> frame,
                       std::vector<std::string>& oddities);

}  // namespace cmunet::dicom
