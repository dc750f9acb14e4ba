// SPDX-License-Identifier: Apache-2.0
// How well the vessels of phantom angiograms are measured, and why stenoses of projected trees are missed.
#pragma once

#include <string>

#include "cmunet/base/json.h"
#include "cmunet/cli/command.h"
#include "cmunet/report/table.h"

namespace cmunet::cli {

struct PhantomAccuracy {
  report::Table diameters;  ///< errors in mm by true diameter
  report::Table stenoses;   ///< found and error in points by what stands in the way of seeing them
  Json json;
};

/// Makes phantoms with stenoses and measures their exact masks and a model's segmentation of their pictures.
/// @param model  empty for the model that comes with the program
PhantomAccuracy measure_phantoms(const std::string& model, const CommonOptions& common);

}  // namespace cmunet::cli
