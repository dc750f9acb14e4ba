// SPDX-License-Identifier: Apache-2.0
// The paper's fine-tuning augmentations on z-scored images, for a whole batch at once on its device.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {

/// Probabilities and strengths, decided for each image on its own. The list, its order and the probabilities are the
/// paper's; the reference code clips z-scored images to [0, 1] after noise and contrast, which is not repeated, and its
/// strengths for 8-bit grey are put in z-units here. Crop and rotation come first and are off by default.
struct AugmentOptions {
  double crop_probability = 0;      ///< of a random crop, resized back (the paper's crop keeps the whole image)
  double crop_scale_min = 0.8;      ///< side of that crop as a share of the image's: U(min, 1)
  double affine_probability = 0;    ///< of a small rotation and change of scale, reflected at the border
  double rotation_max_deg = 10;     ///< rotation: U(−max, max)
  double scale_change_max = 0.1;    ///< magnification: U(1 − max, 1 + max)
  double noise_probability = 0.10;  ///< of Gaussian noise
  double noise_sigma_min = 0.05;    ///< standard deviation U(min, max) in z-units: about 3…7 of 255 grey levels
  double noise_sigma_max = 0.20;
  double blur_probability = 0.20;  ///< of Gaussian blur
  double blur_sigma_min_px = 0.5;  ///< U(min, max)
  double blur_sigma_max_px = 1.0;
  int blur_kernel_min_px = 5;  ///< side at which the Gaussian is cut off: odd, evenly drawn from min…max
  int blur_kernel_max_px = 11;
  double contrast_probability = 0.15;  ///< of a change of brightness and contrast
  double brightness = 0.25;            ///< added: U(−b, b) in z-units
  double contrast = 0.20;              ///< factor: 1 + U(−c, c)
  double downscale_probability = 0.25;
  double downscale_min = 0.5;        ///< to U(min, 1) of the size and back, nearest neighbour
  double one_of_probability = 0.75;  ///< one of horizontal flip, vertical flip, quarter turns, noise, equally likely

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};

/// Keys "finetune.augment.*".
void describe(AugmentOptions& options, Fields& fields);

/// A batch with its masks.
struct Augmented {
  at::Tensor images;  ///< [N, 1, H, W] float
  at::Tensor masks;   ///< [N, H, W] of the type given, no new values, aligned with the images
};

/// Augments a batch; the arguments are left as they are, but what no step changed is returned, not copied.
/// Flips, turns, crops and rotations move the masks along. The same state of `rngs` gives the same batch, on
/// every device up to rounding, and how far they move does not depend on what was chosen.
/// Quarter turns need square images; others are turned by 180° only.
/// @param images  [N, 1, H, W] float, N positive
/// @param masks   [N, H, W] uint8 or int64 on the same device
/// @param rngs    [N], one per image
/// @throws Error kInvalidArgument for other shapes, or images too small for the blur. Options must have passed `check`.
Augmented augment(const at::Tensor& images, const at::Tensor& masks, const AugmentOptions& options,
                  std::span<Rng> rngs);

}  // namespace cmunet::augment
