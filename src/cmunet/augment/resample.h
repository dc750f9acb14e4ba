// SPDX-License-Identifier: Apache-2.0
// Geometry for a whole batch of one-channel pictures: crops, windows, flips and quarter turns, coarser pixels,
// rotations. Where to read comes from the host, one parameter per picture; the pixels never leave their device. Every
// function returns new pictures and throws Error kInvalidArgument unless it gets one parameter per picture.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace cmunet::augment {

/// Part of a picture in pixels, from its top left corner; may be fractional.
struct Box {
  double top = 0, left = 0, height = 0, width = 0;
  bool mirrored = false;  ///< read from right to left
};

/// Cuts a box out of each image and resizes it with Pillow's antialiased bicubic filter (a = −0.5), as two matrix
/// products per image. What is outside the box has no influence, as if it had been cut out first.
/// @param images [N, 1, H, W]; the result is [N, 1, height, width] float, whatever the type of `images`.
at::Tensor resized_crops(const at::Tensor& images, const std::vector<Box>& boxes, int height, int width);

/// The same boxes out of masks, by nearest neighbour: [N, H, W] -> [N, height, width] of the same type.
at::Tensor nearest_crops(const at::Tensor& masks, const std::vector<Box>& boxes, int height, int width);

/// Where a window starts, px.
struct Corner {
  int top = 0, left = 0;
};

/// Unscaled size × size windows: [N, 1, H, W] -> [N, 1, size, size]. Windows must lie inside.
at::Tensor windows(const at::Tensor& images, const std::vector<Corner>& corners, int size);

/// How a picture is laid down; turns are counter-clockwise.
enum class Orientation { kAsIs, kFlipLeftRight, kFlipUpDown, kTurn90, kTurn180, kTurn270 };

/// Flips and turns pictures, [..., H, W] with N in front. kTurn90 and kTurn270 need square ones.
at::Tensor oriented(const at::Tensor& pictures, const std::vector<Orientation>& orientations);

/// Shrinks each image [N, 1, H, W] to a share of its size, scale in (0, 1], and enlarges it again, both by nearest
/// neighbour: the size stays, detail is lost.
at::Tensor coarsened(const at::Tensor& images, const std::vector<double>& scales);

/// A rotation about the centre, counter-clockwise as seen, and a magnification.
struct Motion {
  double angle_deg = 0, scale = 1;
};

/// How values between pixels are found.
enum class Sampling { kBilinear, kNearest };

/// Rotates and scales pictures, [..., H, W] with N in front; outside, the picture is reflected at its border.
/// The type of `pictures` is kept.
at::Tensor moved(const at::Tensor& pictures, const std::vector<Motion>& motions, Sampling sampling);

}  // namespace cmunet::augment
