// SPDX-License-Identifier: Apache-2.0
// Between LibTorch tensors and safetensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/safetensors.h"

namespace cmunet::train {

/// Named tensors in a fixed order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Parameters and buffers of `module` under `prefix` + their dotted names. The tensors are shared, not copied.
NamedTensors state_of(const torch::nn::Module& module, const std::string& prefix = "");

/// Writes tensors atomically; copies to the CPU first where needed. @throws Error kIo.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

/// A tensor that owns a copy of the file's bytes. @throws Error kUnsupported for a dtype torch lacks.
at::Tensor to_tensor(const TensorRef& ref);

/// What became of each tensor when weights were loaded.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     ///< in the module, not in the file: keeps its value
  std::vector<std::string> unused;      ///< in the file, not in the module
  std::vector<std::string> mismatched;  ///< in both, with different shapes: keeps its value
};

/// Copies every tensor of `file` into the module's tensor of the same name and shape, except names that start with
/// one of `skip` (they count as missing).
LoadReport load_into(torch::nn::Module& module, const SafetensorsFile& file, const std::vector<std::string>& skip = {});

/// Like `load_into`, but every tensor named `prefix` + name must be there with the right shape.
/// @throws Error kCorrupt naming the first that is not.
void load_exactly(torch::nn::Module& module, const SafetensorsFile& file, const std::string& prefix = "");

}  // namespace cmunet::train
