// SPDX-License-Identifier: Apache-2.0
// Model files (weights under the reference UNet's names) and training-state files (all that is needed to continue).
// docs/reference/checkpoint-format.md describes both.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/nn/unet.h"
#include "cmunet/train/tensor_io.h"

namespace cmunet::train {

/// What a model file says of itself besides its weights.
struct ModelInfo {
  std::string kind;    ///< "segmentation" or "pretrained"
  std::string method;  ///< "supervised", "cm_unet", …
  nn::UNetOptions unet;
  Json preprocessing;  ///< the store's preprocessing options: what an image must go through before this network
  int height = 0;      ///< size the network was trained at, px
  int width = 0;
  Json details;  ///< config, data hashes, step, epoch, validation results, modules: for people and `info`
};

/// Writes `unet` and its description as one safetensors file, atomically.
void save_model(const std::filesystem::path& path, const nn::UNet& unet, const ModelInfo& info);

/// The description alone. @throws Error kNotFound, kCorrupt, kUnsupported (a newer format version).
ModelInfo read_model_info(const SafetensorsFile& file);

/// A model ready for inference on the CPU (eval mode).
struct Model {
  nn::UNet unet{nullptr};
  ModelInfo info;
};
/// @param path  a model file, or a run folder (its best model, else its last).
/// @throws Error kNotFound; kCorrupt when a tensor is missing or has another shape than the architecture says.
Model load_model(const std::filesystem::path& path);

/// The model file that `path` stands for: itself, or in a run folder checkpoints/best.safetensors, else last.
std::filesystem::path find_model_file(const std::filesystem::path& path);

/// Writes a training state: the previous one is kept beside it under the name *.previous.safetensors.
/// @param state  everything that is no tensor (step, random state, sampler position, sums)
void save_state(const std::filesystem::path& path, const NamedTensors& tensors, const Json& state);

/// A training state that passed its checksum.
struct TrainingState {
  SafetensorsFile file;
  Json state;
};
/// Opens `path`, or the previous one with a warning when the newest is damaged.
/// @throws Error kNotFound when there is none, kCorrupt when none is whole.
TrainingState load_state(const std::filesystem::path& path);

}  // namespace cmunet::train
