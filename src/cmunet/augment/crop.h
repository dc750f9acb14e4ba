// SPDX-License-Identifier: Apache-2.0
// The random resized crop that most pre-training methods begin with.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "cmunet/augment/resample.h"
#include "cmunet/base/config.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {

/// A random part of each image, resized to a square, perhaps mirrored. Area 1 to 1 with aspect 1 keeps the image.
struct CropOptions {
  int size = 256;         ///< side of the result, px
  double area_min = 0.2;  ///< share of the image's area; smaller zooms in more
  double area_max = 1.0;
  double aspect_max = 4.0 / 3;    ///< aspect ratio log-uniform in [1/aspect_max, aspect_max]
  double flip_probability = 0.5;  ///< left to right

  /// @param section  what stands before the keys, "pretrain.mae.crop"
  /// @throws Error kInvalidArgument naming the key; also unless `size` is a multiple of `multiple`.
  void check(const std::string& section, int multiple) const;
};
/// Keys "<section>.*".
void describe(CropOptions& options, const std::string& section, Fields& fields);

/// @param images  [N, 1, H, W] float
/// @param rngs    [N], one per image
/// @return        [N, 1, size, size], antialiased bicubic; options must have passed `check`
at::Tensor random_resized_crops(const at::Tensor& images, const CropOptions& options, std::span<Rng> rngs);

/// A random box as torchvision's RandomResizedCrop: ten attempts, then the largest centred box of allowed aspect.
Box random_box(int height, int width, double area_min, double area_max, double aspect_max, Rng& rng);

}  // namespace cmunet::augment
