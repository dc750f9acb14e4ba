// SPDX-License-Identifier: Apache-2.0
// How well measurements agree with phantoms that are exactly known.
#pragma once

#include <string>

#include "cmunet/cli/command.h"

namespace cmunet::cli {

/// Prints three tables of errors in millimetres by diameter, and of stenoses in points: from exact masks, soft edges
/// and pictures of single tubes; from the exact masks of `cmunet phantom` and from a model's segmentation of the same
/// pictures, each with walls of the mask and of the picture.
/// @param model  empty for the model that comes with the program
void report_accuracy(const std::string& model, const CommonOptions& common);

}  // namespace cmunet::cli
