// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/augment/crop.h"
#include "cmunet/augment/distortions.h"

namespace cmunet::ssl {

/// Settings of Models Genesis. By default the network sees the whole image, flipped now and then.
struct ModelsGenesisOptions {
  augment::CropOptions crop{.area_min = 1, .aspect_max = 1};
  augment::DistortionOptions distortions;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "pretrain.models_genesis.*".
void describe(ModelsGenesisOptions& options, Fields& fields);

}  // namespace cmunet::ssl
