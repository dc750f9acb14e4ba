// SPDX-License-Identifier: Apache-2.0
// A trained model with what runs it: the native engine in `cmunet`, LibTorch in `cmunet-train`.
#pragma once

#include <memory>
#include <string>

#include "cmunet/base/model_file.h"
#include "cmunet/cli/command.h"
#include "cmunet/engine/engine.h"

namespace cmunet::cli {

struct Model {
  ModelInfo info;
  std::shared_ptr<engine::Engine> engine;
};

/// The model that comes with the program: models/coronary-small.safetensors of the checkout it was built in, or
/// share/cmunet/ beside its folder. @throws Error kNotFound.
std::string default_model();

/// @param path  a model file or a run folder. Uses --threads and --device of `common`.
/// @throws Error kNotFound, kCorrupt, kUnsupported.
Model open_model(const std::string& path, const CommonOptions& common);

/// The same network on another engine, to compare with: in `cmunet` the plain reference, which is slow; in
/// `cmunet-train` the native engine.
std::shared_ptr<engine::Engine> open_other_engine(const std::string& path, const CommonOptions& common);

}  // namespace cmunet::cli
