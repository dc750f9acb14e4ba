// SPDX-License-Identifier: Apache-2.0
// The reference engine: LibTorch on CPU or CUDA.
#pragma once

#include <memory>

#include "cmunet/engine/engine.h"
#include "cmunet/train/checkpoint.h"

namespace cmunet::train {

/// Runs `model` (eval mode) on the device "cpu", "cuda" or "cuda:N". Images are padded to multiples of 16 by repeating
/// their edge pixels and cropped back; images of one size form one batch.
std::shared_ptr<engine::Engine> make_torch_engine(Model model, const std::string& device);

}  // namespace cmunet::train
