// SPDX-License-Identifier: Apache-2.0
// The paper's fine-tuning augmentations on z-scored images, for a whole batch at once on its device.
#pragma once

#include <ATen/core/Tensor.h>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {

/// Probabilities and strengths, applied in this order, decided for each image on its own. The list and the
/// probabilities are the paper's; the reference code clips z-scored images to [0, 1] here, which is not repeated.
struct AugmentOptions {
  double noise_probability = 0.10;
  double noise_sigma_min = 0.05;  ///< in z-units: √10/255 … √50/255 of 8-bit grey is about 3…7 grey levels
  double noise_sigma_max = 0.20;
  double blur_probability = 0.20;  ///< Gaussian
  double blur_sigma_min_px = 0.5;
  double blur_sigma_max_px = 1.0;
  double contrast_probability = 0.15;
  double brightness = 0.25;  ///< added: U(−b, b) in z-units
  double contrast = 0.20;    ///< factor: 1 + U(−c, c)
  double downscale_probability = 0.25;
  double downscale_min = 0.5;        ///< to U(min, 1) of the size and back, nearest neighbour
  double one_of_probability = 0.75;  ///< one of horizontal flip, vertical flip, quarter turns, noise, equally likely
  double crop_probability = 0;       ///< random resized crop (off in the paper, whose crop keeps the whole image)
  double crop_scale_min = 0.8;       ///< side of that crop as a share of the image's

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};

/// Keys "finetune.augment.*".
void describe(AugmentOptions& options, Fields& fields);

struct Augmented {
  at::Tensor images;  ///< [N, 1, H, W] float
  at::Tensor masks;   ///< [N, H, W] uint8, still 0 or 1 and aligned with the images
};

/// @param images [N, 1, H, W] float; @param masks [N, H, W] uint8 on the same device.
/// Quarter turns need square images; others are turned by 180° only.
Augmented augment(const at::Tensor& images, const at::Tensor& masks, const AugmentOptions& options, Rng& rng);

}  // namespace cmunet::augment
