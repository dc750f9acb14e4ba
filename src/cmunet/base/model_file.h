// SPDX-License-Identifier: Apache-2.0
// What a model file says of itself, for the programs with and without LibTorch (docs/reference/checkpoint-format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/base/safetensors.h"

namespace cmunet {

/// What a model file says of itself besides its weights.
struct ModelInfo {
  std::string kind;    ///< "segmentation" or "pretrained"
  std::string method;  ///< "supervised", "cm_unet", …
  std::int64_t in_channels = 1;
  std::int64_t classes = 2;      ///< output channels; 0 when the file holds the encoder alone
  std::int64_t base_width = 64;  ///< channels of the first level
  Json preprocessing;  ///< the store's preprocessing options: what an image must go through before this network
  int height = 0;      ///< size the network was trained at, px
  int width = 0;
  Json details;  ///< config, data hashes, step, epoch, validation results, modules: for people and `info`
};

/// The text of the metadata key "cmunet" that `read_model_info` reads.
std::string model_metadata(const ModelInfo& info);

/// @throws Error kCorrupt when `file` is no model of cmunet; kUnsupported for a newer format version or another
///         architecture than the UNet.
ModelInfo read_model_info(const SafetensorsFile& file);

/// The model file that `path` stands for: itself, or in a run folder checkpoints/best.safetensors, else last.
/// @throws Error kNotFound.
std::filesystem::path find_model_file(const std::filesystem::path& path);

}  // namespace cmunet
