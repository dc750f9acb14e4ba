// SPDX-License-Identifier: Apache-2.0
// `cmunet evaluate --model …`: a model's segmentations of one split of a store against the truth, on the store's grid.
#pragma once

#include <string>

#include "cmunet/cli/command.h"
#include "cmunet/cli/postprocess_flags.h"

namespace cmunet::cli {

struct EvaluateModelFlags {
  std::string model;
  std::string store;
  std::string split = "test";
  PostprocessFlags postprocess;
};

/// Prints the evaluation and, unless `out` is empty, writes its files there. Engine: see `open_model`.
void evaluate_model(const EvaluateModelFlags& flags, const std::string& out, const CommonOptions& common);

}  // namespace cmunet::cli
