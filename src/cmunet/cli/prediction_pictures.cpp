// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/prediction_pictures.h"

#include <algorithm>
#include <cmath>

#include "cmunet/codec/codec.h"
#include "cmunet/report/overlay.h"

namespace cmunet::cli {
namespace {

image::Image<std::uint8_t> to_bytes(const image::Mask& mask) {
  image::Image<std::uint8_t> bytes(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), bytes.begin(), [](std::uint8_t v) { return v != 0 ? 255 : 0; });
  return bytes;
}

image::Image<std::uint8_t> to_bytes(const image::ImageF& probability) {
  image::Image<std::uint8_t> bytes(probability.height(), probability.width());
  std::transform(probability.begin(), probability.end(), bytes.begin(),
                 [](float p) { return static_cast<std::uint8_t>(std::lround(255 * std::clamp(p, 0.0F, 1.0F))); });
  return bytes;
}

}  // namespace

std::vector<std::string> PictureFiles::all() const {
  std::vector<std::string> names{mask};
  for (const std::string& name : {overlay, probability}) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

PictureFiles picture_files(const std::string& stem, const PictureFlags& flags) {
  PictureFiles files{stem + ".png", {}, {}};
  if (flags.overlay) files.overlay = stem + "_overlay.png";
  if (flags.probabilities) files.probability = stem + "_probability.png";
  return files;
}

Json write_pictures(const std::filesystem::path& out, const std::string& stem, const image::ImageF& grey,
                    const engine::Segmentation& result, const PictureFlags& flags) {
  const PictureFiles files = picture_files(stem, flags);
  Json row = {{"mask", files.mask}};
  codec::write_png(out / files.mask, to_bytes(result.mask));
  if (flags.overlay) {
    row["overlay"] = files.overlay;
    codec::write_png(out / files.overlay, report::overlay_mask(grey, result.mask, result.bridges));
  }
  if (flags.probabilities) {
    row["probability"] = files.probability;
    codec::write_png(out / files.probability, to_bytes(result.probability));
  }
  const auto vessel = std::count(result.mask.begin(), result.mask.end(), std::uint8_t{1});
  row["height"] = result.mask.height();
  row["width"] = result.mask.width();
  row["bridged_px"] = std::count(result.bridges.begin(), result.bridges.end(), std::uint8_t{1});
  row["vessel_fraction"] = static_cast<double>(vessel) / static_cast<double>(result.mask.size());
  return row;
}

}  // namespace cmunet::cli
