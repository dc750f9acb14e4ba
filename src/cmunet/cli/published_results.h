// SPDX-License-Identifier: Apache-2.0
// What the paper reports (Challier et al. 2025, Table I and Fig. 3), restored from its authors' training logs where the
// printed table has gaps. Other images (FAME 2) and other ways of choosing and averaging than ours: to be shown beside
// our figures, not compared with them digit by digit.
#pragma once

#include <array>
#include <span>

namespace cmunet::cli {

/// Numbers of labelled images of the paper's ratios 79:1, 75:5, 70:10, 60:20, 50:30.
inline constexpr std::array<double, 5> kPublishedLabels{18, 87, 174, 348, 522};

struct PublishedMethod {
  const char* name;
  // Table I, at 79:1.
  double cl_dice, iou, diameter_difference_px;
  double parameters_millions;
  // Fig. 3, in the order of kPublishedLabels; the first is Table I's too.
  std::array<double, 5> dice, modified_hausdorff_px;
  const char* remark;
};
std::span<const PublishedMethod> published_methods();

/// Agreement of mean diameters by CM-UNet (§IV.B.3 and Fig. 4), as printed. Both r have p < 0.001.
struct PublishedAgreement {
  double labels;
  double r, bias_px, lower_px, upper_px;
  const char* remark;
};
std::span<const PublishedAgreement> published_agreement();

/// How these numbers came about, in sentences for a reader of the page.
inline constexpr const char* kHowPublished =
    "Published values, from the paper and its authors' logs: 348 test images of FAME 2 at 256×256 px. Epoch and "
    "learning "
    "rate were chosen on these test images. CM-UNet and MoCo v2 were measured pooled over batches of 32, the others "
    "nearly per image, which is not the same quantity; Cl-Dice is that of soft skeletons. Where the distance of the "
    "chosen epoch was undefined, the paper gives another epoch's (see remarks). One run each, no intervals. They "
    "cannot "
    "be compared with our figures digit by digit, nor quite with one another.";

}  // namespace cmunet::cli
