// SPDX-License-Identifier: Apache-2.0
// Model files at half their size, for passing on.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cmunet/base/safetensors.h"

namespace cmunet::engine {

/// IEEE 754 binary16, rounded to nearest, ties to even. @throws Error kNumeric unless |value| < 65520.
std::uint16_t to_half(float value);
/// Exact.
float from_half(std::uint16_t half);

/// Writes `model` with its metadata, the weights of convolutions (two dimensions or more) in half precision; biases and
/// batch norms stay as they are. @throws Error kNumeric for a weight that does not fit; kIo.
void write_half_precision(const SafetensorsFile& model, const std::filesystem::path& path);

}  // namespace cmunet::engine
