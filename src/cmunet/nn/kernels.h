// SPDX-License-Identifier: Apache-2.0
// Who does the arithmetic of the UNet's blocks.
#pragma once

#include <span>
#include <string_view>
#include <utility>

namespace cmunet::nn {

enum class Kernels {
  kTorch,   ///< LibTorch, everywhere
  kNative,  ///< the module `kernels` on a CPU in 32 bits where it is faster, else LibTorch
};

/// Names of the kernels, for config files.
std::span<const std::pair<std::string_view, Kernels>> kernels_names();

}  // namespace cmunet::nn
