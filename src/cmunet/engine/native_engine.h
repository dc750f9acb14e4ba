// SPDX-License-Identifier: Apache-2.0
// The engine that `cmunet predict` uses: fast, small, without LibTorch.
#pragma once

#include <memory>

#include "cmunet/engine/engine.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::engine {

/// An engine on the CPU: Winograd convolutions, SIMD chosen for this processor, fp32.
/// Any image size (padded to a multiple of 16 by repeating the edge, then cut). Calls from several threads wait for
/// each other; for independent streams make several engines.
/// @param threads  0 for one per processor
std::shared_ptr<Engine> make_native_engine(const UNetWeights& weights, int threads = 0);

/// The same network in the plainest form: direct convolution, double precision, one thread. For comparison only.
std::shared_ptr<Engine> make_reference_engine(const UNetWeights& weights);

}  // namespace cmunet::engine
