// SPDX-License-Identifier: Apache-2.0
// Metrics over a set of images: the mean per image is primary, pooled overlap stands beside it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/metrics/metrics.h"

namespace cmunet::metrics {

/// Of the defined values of one metric.
struct Summary {
  double mean = 0;
  double sd = 0;                 ///< sample standard deviation over images
  std::array<double, 2> ci95{};  ///< bootstrap interval of the mean over images
  std::int64_t n = 0;            ///< images with a defined value
  std::int64_t undefined = 0;    ///< images without; they are in no mean
};

struct ImageResult {
  std::string id;
  ImageMetrics metrics;
};

struct Evaluation {
  std::vector<ImageResult> images;
  Summary dice, cl_dice, iou, modified_hausdorff_px, diameter_difference_px, breaks_per_100px, soft_cl_dice;
  double pooled_dice = 0, pooled_iou = 0;  ///< from the counts summed over all images
};

/// @param seed  of the bootstrap. @throws Error kInvalidArgument without images.
Evaluation summarise(std::vector<ImageResult> images, std::uint64_t seed);

/// {"metrics": {"dice": {"mean", "sd", "ci95", "n", "undefined"}, …}, "pooled": {"dice", "iou"}, "images": [{"id",
/// …}]}; NaN becomes null.
Json to_json(const Evaluation& evaluation);

}  // namespace cmunet::metrics
