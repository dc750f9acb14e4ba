// SPDX-License-Identifier: Apache-2.0
// Where the picture is: inside the display shutters and away from overlay graphics.
#pragma once

#include <string>
#include <vector>

#include "cmunet/image/image.h"

class DcmItem;

namespace cmunet::dicom {

/// 1 where the picture is. Shutters: PS3.3 C.7.6.11 (also the first frame's of Enhanced XA). Overlays: PS3.3 C.9.2,
/// all their frames together.
image::Mask read_field(DcmItem& dataset, int height, int width, std::vector<std::string>& oddities);

}  // namespace cmunet::dicom
