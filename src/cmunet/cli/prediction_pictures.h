// SPDX-License-Identifier: Apache-2.0
// The pictures that a prediction leaves behind.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/engine/segmenter.h"

namespace cmunet::cli {

struct PictureFlags {
  bool overlay = false;
  bool probabilities = false;
};

/// Writes `<stem>.png` (the mask, 255 = vessel) and as asked `<stem>_overlay.png` and `<stem>_probability.png` into the
/// folder `out`. Returns their paths, the size, the number of bridged pixels and the share
/// of pixels that are vessel. @throws Error kIo.
Json write_pictures(const std::filesystem::path& out, const std::string& stem, const image::ImageF& grey,
                    const engine::Segmentation& result, const PictureFlags& flags);

}  // namespace cmunet::cli
