// SPDX-License-Identifier: Apache-2.0
// A trained network as an ONNX file, for programs that run other engines.
#pragma once

#include <filesystem>

#include "cmunet/engine/unet_weights.h"
#include "cmunet/preprocess/pipeline.h"

namespace cmunet::engine {

/// Writes normalisation, network and softmax as one graph (opset 13, IR version 8), atomically.
/// Input `grey` [N, 1, H, W]: float grey values in [0, 255], H and W multiples of 16, already on the network's grid
/// (cropped and resampled as `preprocessing` says). Output `vessel_probability` [N, H, W] in [0, 1].
/// The file's metadata holds the preprocessing, and that it is not for clinical use.
/// @throws Error kIo; kUnsupported above 2 GB.
void export_onnx(const std::filesystem::path& path, const UNetWeights& weights,
                 const preprocess::Options& preprocessing);

}  // namespace cmunet::engine
