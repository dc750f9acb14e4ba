// SPDX-License-Identifier: Apache-2.0
// Model files (weights under the reference UNet's names) and training-state files (all that is needed to continue).
// docs/reference/checkpoint-format.md describes both.
#pragma once

#include <filesystem>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/base/model_file.h"
#include "cmunet/nn/unet.h"
#include "cmunet/train/tensor_io.h"

namespace cmunet::train {

/// Writes the tensors of `network` (a UNet, or its encoder) and its description as one safetensors file, atomically.
void save_model(const std::filesystem::path& path, const torch::nn::Module& network, const ModelInfo& info);

/// The sizes of the network that `info` describes.
nn::UNetOptions unet_options(const ModelInfo& info);

/// A model ready for inference on the CPU (eval mode).
struct Model {
  nn::UNet unet{nullptr};
  ModelInfo info;
};
/// @param path  a model file, or a run folder (its best model, else its last).
/// @throws Error kNotFound; kCorrupt when a tensor is missing or has another shape than the architecture says.
Model load_model(const std::filesystem::path& path);

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
