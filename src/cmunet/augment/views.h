// SPDX-License-Identifier: Apache-2.0
// The two views of CM-UNet pre-training, made for a whole batch at once on the images' device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <span>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {

/// Defaults are the paper's full-size setting.
struct ViewOptions {
  int crop_size = 256;    ///< the random resized crop that both views share, px
  int view_size = 224;    ///< side of a view, px
  double area_min = 0.2;  ///< crop area as a share of the image; smaller zooms in more
  double area_max = 1.0;
  double aspect_max = 4.0 / 3;     ///< aspect ratio log-uniform in [1/aspect_max, aspect_max]
  double flip_probability = 0.5;   ///< horizontal, shared by both views
  int max_shift = 31;              ///< momentum view's window starts at 0…max_shift in y and x
  bool shift_both = false;         ///< shift the online view too, as the paper's text has it; its code does not
  double noise_probability = 1.0;  ///< of Gaussian noise on the momentum view, per image
  double noise_fraction = 0.1;     ///< its standard deviation as a share of the view's maximum

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};

/// Keys "pretrain.views.*".
void describe(ViewOptions& options, Fields& fields);

/// Both [N, 1, view, view] float on the images' device.
struct Views {
  at::Tensor online;    ///< fixed top-left window of the crop
  at::Tensor momentum;  ///< shifted window of the same crop, with noise
};

/// Shared random resized crop (antialiased bicubic) and flip, then a window each. An image without a positive pixel in
/// its view gets no noise. The same state of `rngs` gives the same views, on every device up to rounding.
/// @param images  [N, 1, H, W] float or half, N positive
/// @param rngs    [N], one per image
/// @throws Error kInvalidArgument for another shape. Options must have passed `check`.
Views make_views(const at::Tensor& images, const ViewOptions& options, std::span<Rng> rngs);

/// Standard normal noise [N, …] whose row i follows rngs[i] (one draw), with the same values on every device: it is
/// made on the host.
at::Tensor normal_noise(at::IntArrayRef shape, std::span<Rng> rngs, const at::Device& device);

}  // namespace cmunet::augment
