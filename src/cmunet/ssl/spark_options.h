// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cmunet/augment/crop.h"

namespace cmunet::ssl {

/// Settings of SparK; the defaults are those of the paper's comparison.
struct SparkOptions {
  augment::CropOptions crop{.area_min = 0.67};
  double mask_ratio = 0.6;  ///< share of hidden cells of 16 px: 154 of 256 at 256²

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Keys "pretrain.spark.*".
void describe(SparkOptions& options, Fields& fields);

}  // namespace cmunet::ssl
