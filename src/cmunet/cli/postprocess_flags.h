// SPDX-License-Identifier: Apache-2.0
// How commands that segment are told what to do after the network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/cli/command.h"
#include "cmunet/engine/postprocess.h"

namespace cmunet::cli {

/// --postprocess and the flags that overrule single settings of its file.
struct PostprocessFlags {
  std::string file;
  bool flips = false;
  std::optional<double> threshold, low_threshold;
  std::optional<std::int64_t> min_area_px, max_gap_px;
};
/// Returns the options, for a command that takes them with another one only.
std::vector<CLI::Option*> add_postprocess_flags(CLI::App& app, PostprocessFlags& flags);

/// The settings that the flags stand for; a threshold of 0.5 alone without any. Warns when the file was made for
/// another model. @param model  model file or run folder
/// @throws Error kNotFound, kCorrupt for the file; kInvalidArgument for a flag out of range.
engine::PostprocessOptions read_postprocessing(const PostprocessFlags& flags, const std::string& model);

/// The fingerprint of a model's weights file by which such a file names it.
std::string model_hash(const std::string& model);

}  // namespace cmunet::cli
