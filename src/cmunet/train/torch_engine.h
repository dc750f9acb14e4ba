// SPDX-License-Identifier: Apache-2.0
// The reference engine: LibTorch on CPU or CUDA.
#pragma once

#include <memory>

#include "cmunet/engine/engine.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/pretrain.h"

namespace cmunet::train {

/// Runs `model` (eval mode) on the device "cpu", "cuda" or "cuda:N". Images are padded to multiples of 16 by repeating
/// their edge pixels and cropped back; images of one size form one batch.
/// @param precision  of the convolutions, kFp32 to kFp16; the softmax is computed in 32 bits
/// @throws Error kUnsupported for kFp16 on a CPU and a model with other inputs or outputs; as parse_device does.
std::shared_ptr<engine::Engine> make_torch_engine(Model model, const std::string& device, Precision precision);

}  // namespace cmunet::train
