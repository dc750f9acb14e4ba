// SPDX-License-Identifier: Apache-2.0
// The metrics of the paper, for one image. docs/reference/metrics.md gives the formulas and how they relate to the
// published numbers. All take binary masks (pred, target) of one size and throw kInvalidArgument otherwise.
#pragma once

#include <cstdint>

#include "cmunet/image/image.h"

namespace cmunet::metrics {

/// Pixels by agreement.
struct Counts {
  std::int64_t tp = 0;  ///< vessel in both
  std::int64_t fp = 0;  ///< vessel in pred only
  std::int64_t fn = 0;  ///< vessel in target only
  std::int64_t tn = 0;
  Counts& operator+=(const Counts& other);
  bool operator==(const Counts&) const = default;
};
Counts count(const image::Mask& pred, const image::Mask& target);

/// 2·tp / (2·tp + fp + fn) in [0, 1]; 1 when both masks are empty.
double dice(const Counts& counts);
double dice(const image::Mask& pred, const image::Mask& target);

/// tp / (tp + fp + fn) in [0, 1]; 1 when both masks are empty.
double iou(const Counts& counts);
double iou(const image::Mask& pred, const image::Mask& target);

/// Centre-line Dice (Shit et al., CVPR 2021) with the hard skeleton `image::thin`: harmonic mean of the share of pred's
/// skeleton inside target and of target's skeleton inside pred. 1 when both are empty, 0 when one is.
double cl_dice(const image::Mask& pred, const image::Mask& target);

/// The paper's Cl-Dice: the soft skeleton of the reference code (10 iterations, smoothing 1) on the binary masks.
/// Only for comparison with published numbers; it is 1 when both are empty.
double soft_cl_dice(const image::Mask& pred, const image::Mask& target);

/// Modified Hausdorff distance (Dubuisson & Jain 1994) between iso-contours at 0.5, px: the larger of the two mean
/// distances from a contour point of one mask to the nearest of the other. Contours do not run along the image border;
/// only a mask that is all vessel has the frame of the image, half a pixel outside, as its contour. 0 when both masks
/// are empty; NaN (undefined, to be counted, never replaced) when one is.
double modified_hausdorff_px(const image::Mask& pred, const image::Mask& target);

/// Artery diameter difference: |mean diameter of pred − of target|, px (vessel::mean_diameter_px). NaN when either is
/// undefined.
double diameter_difference_px(const image::Mask& pred, const image::Mask& target);

/// Breaks per 100 px of the target's centre line. A break is a stretch of that line (`image::thin`; 8-connected)
/// outside pred that joins different 8-connected parts of pred: k parts make k − 1 breaks. A stretch that ends in
/// nothing is missing, not a break; one that pred goes around in one piece is none either. NaN when the target has no
/// centre line or none of it lies in pred: nothing was found that could be broken.
double breaks_per_100px(const image::Mask& pred, const image::Mask& target);

/// All of them for one image.
struct ImageMetrics {
  Counts counts;
  double dice = 0, cl_dice = 0, iou = 0;
  double modified_hausdorff_px = 0;
  double diameter_difference_px = 0;
  double breaks_per_100px = 0;
  double soft_cl_dice = 0;
  double pred_diameter_px = 0, target_diameter_px = 0;
};
ImageMetrics measure(const image::Mask& pred, const image::Mask& target);

}  // namespace cmunet::metrics
