// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/augment/crop.h"
#include "cmunet/nn/losses.h"

namespace cmunet::ssl {

/// Settings of masked autoencoding. Crops as in the original; the paper's code uses the whole image (crop.area_min = 1,
/// crop.aspect_max = 1, crop.flip_probability = 0) and the loss over all pixels (masked_only = false).
struct MaeOptions {
  augment::CropOptions crop;
  double mask_ratio = 0.5;  ///< share of hidden patches; 0.75 in the original
  int patch_size = 16;      ///< px
  bool masked_only = true;  ///< loss over hidden pixels, else over all
  nn::TargetNorm target_norm = nn::TargetNorm::kNone;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "pretrain.mae.*".
void describe(MaeOptions& options, Fields& fields);

}  // namespace cmunet::ssl
