// SPDX-License-Identifier: Apache-2.0
// What segments: one interface over every way of running the network.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cmunet/image/image.h"

namespace cmunet::engine {

/// One of the project's three inheritance seams. Implementations are safe to call from several threads at once.
class Engine {
 public:
  virtual ~Engine() = default;
  /// For messages and records, e.g. "libtorch cpu fp32".
  virtual std::string name() const = 0;
  /// Probability of vessel in [0, 1] for each prepared image (z-scored grey; any size, each on its own grid).
  /// @throws Error kInvalidArgument for an empty image.
  virtual std::vector<image::ImageF> vessel_probability(std::span<const image::ImageF> images) = 0;
};

}  // namespace cmunet::engine
