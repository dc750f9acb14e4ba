// SPDX-License-Identifier: Apache-2.0
// The pictures that a prediction leaves behind.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/engine/segmenter.h"

namespace cmunet::cli {

struct PictureFlags {
  bool overlay = false;
  bool probabilities = false;
};

/// The names of files; empty for what is not asked for.
struct PictureFiles {
  std::string mask, overlay, probability;
  std::vector<std::string> all() const;  ///< those that are asked for
};
/// `<stem>.png`, `<stem>_overlay.png` and `<stem>_probability.png`.
PictureFiles picture_files(const std::string& stem, const PictureFlags& flags);

/// Writes the mask (255 = vessel) and what is asked for as `picture_files` into the folder `out`. Returns their names,
/// the size, the number of bridged pixels and the share of pixels that are vessel. @throws Error kIo.
Json write_pictures(const std::filesystem::path& out, const std::string& stem, const image::ImageF& grey,
                    const engine::Segmentation& result, const PictureFlags& flags);

}  // namespace cmunet::cli
