// SPDX-License-Identifier: Apache-2.0
// Where a prediction's time goes.
#pragma once

#include <string>
#include <vector>

#include "cmunet/engine/unet_weights.h"

namespace cmunet::engine {

/// A layer of the native engine, its bias, ReLU and pooling included.
struct LayerTime {
  std::string name;  ///< block and part: "down_conv1.0", "double_conv.1", "up_conv4.up", "conv_last"
  double gflop = 0;  ///< of direct convolution, a multiplication and an addition each counted as one
  double median_ms = 0;
};

/// Runs the network on a random square image, `repeat` times after a first that warms up.
/// @param size  image side, px; rounded up to a multiple of kTotalStride, as the engine does by padding
/// @param threads  0 for one per processor
/// @return the layers in the order in which they run
/// @throws Error kInvalidArgument when `size` or `repeat` is not positive
std::vector<LayerTime> profile_layers(const UNetWeights& weights, int size, int repeat, int threads);

}  // namespace cmunet::engine
