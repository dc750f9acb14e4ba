// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "cmunet/augment/crop.h"

namespace cmunet::ssl {

/// Settings of MoCo v2; the defaults are the form whose 37.70 M parameters the paper counts: no head, temperature 0.07.
/// The published MoCo v2 has mlp_head = true and temperature = 0.2.
struct MocoV2Options {
  augment::CropOptions crop{.size = 224};
  double rotation_probability = 0.5;  ///< of a turn by any angle
  double blur_probability = 0.5;      ///< of a Gaussian blur, σ uniform in 0.1…2 px
  double flip_vertical_probability = 0.5;
  double noise_probability = 0.5;  ///< of Gaussian noise
  double noise_fraction = 0.1;     ///< its standard deviation as a share of the view's maximum
  /// Keys kept as negatives. Every image that is in the queue more than once is a false negative of itself, so it
  /// should hold less than the data set (65,536 in the original).
  int queue_size = 1024;
  double temperature = 0.07;
  double momentum = 0.999;  ///< of the key encoder
  bool mlp_head = false;    ///< a hidden layer and 128 outputs instead of the pooled features themselves

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "pretrain.moco_v2.*".
void describe(MocoV2Options& options, Fields& fields);

}  // namespace cmunet::ssl
