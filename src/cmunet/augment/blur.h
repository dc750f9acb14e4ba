// SPDX-License-Identifier: Apache-2.0
// Gaussian blur of a whole batch, one width per image.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace cmunet::augment {

/// A Gaussian cut off at a radius. Standard deviation 0 leaves the image as it is.
struct Blur {
  double sigma_px = 0;
  int radius_px = 0;
};

/// Separable, reflected at the border. @param images [N, 1, H, W] float; one blur per image.
/// @throws Error kInvalidArgument when a radius is not smaller than both sides.
at::Tensor blurred(const at::Tensor& images, const std::vector<Blur>& blurs);

}  // namespace cmunet::augment
