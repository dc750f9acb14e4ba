// SPDX-License-Identifier: Apache-2.0
// The steps of the preprocessing chain, each alone. Images are grey values in [0, 255] unless stated; every step keeps
// the pixel spacing. docs/reference/preprocessing.md says what differs from the paper and from its code.
#pragma once

#include <cstdint>

#include "cmunet/image/image.h"

namespace cmunet::preprocess {

/// What is done to a mask before it is used as a target.
enum class MaskSmoothing {
  kNone,
  kMajority,  ///< 1 where at least five of the 3×3 neighbourhood are 1; loses lines of one pixel
  kContour,   ///< adds the background pixels that touch the vessel with a side: one pixel thicker, one-pixel gaps close
};

/// @throws Error kInvalidArgument when a value is neither 0 nor 1.
image::Mask smooth_mask(const image::Mask& mask, MaskSmoothing mode);

/// A rectangle on an image's grid; may reach beyond the image.
struct Box {
  int top = 0, left = 0;  ///< px; negative when the rectangle begins before the image
  int height = 0, width = 0;
  bool operator==(const Box&) const = default;
};

/// The box of the given size in the middle; where the margin is odd, the smaller half is above and to the left.
Box centre_box(int source_height, int source_width, int height, int width);

/// The pixels of the box; beyond the image they are mirrored about its edges (… b a | a b … y z | z y …).
/// @throws Error kInvalidArgument for an empty image or box.
image::ImageF crop_or_mirror(const image::ImageF& image, const Box& box);
image::Mask crop_or_mirror(const image::Mask& mask, const Box& box);

/// The dark corners that a round field of view leaves.
struct CornerInpainting {
  int threshold = 30;             ///< grey values up to this one count as dark
  double corner_fraction = 0.30;  ///< side of each corner square, as a fraction of the image's shorter side
  int min_pixels = 100;           ///< with fewer dark pixels in the four squares the image stays as it is
  int dilation_px = 5;            ///< side of the square by which the dark region grows before it is filled; odd
  double radius_px = 3;           ///< how far the fill looks for known pixels
};

/// Fills dark corners from their surroundings by fast marching (Telea 2004), on values rounded to 8 bits; pixels
/// outside the filled region keep their value exactly.
image::ImageF inpaint_corners(const image::ImageF& image, const CornerInpainting& options);

/// x + amount · (x − G(x)), G a Gaussian with standard deviation `radius_px`, cut at 4 standard deviations, the image
/// mirrored about its edges. Not clipped to [0, 255]. As scikit-image's unsharp_mask with preserve_range.
/// @throws Error kInvalidArgument unless radius_px lies in (0, 1000].
image::ImageF unsharp_mask(const image::ImageF& image, double radius_px, double amount);

/// Mean and population standard deviation of pixels given image by image.
class Moments {
 public:
  void add(const image::ImageF& image);
  std::int64_t count() const { return count_; }
  double mean() const { return mean_; }
  double sd() const;

 private:
  std::int64_t count_ = 0;
  double mean_ = 0;
  double sum_of_squares_ = 0;  // of differences from the mean
};

/// (x − mean) / sd. An sd that is no more than rounding (10⁻⁶ of the mean, at least 10⁻⁶) gives zeros: a constant
/// image has no contrast to scale.
image::ImageF z_score(const image::ImageF& image, double mean, double sd);
/// The same with the image's own mean and population standard deviation.
image::ImageF z_score(const image::ImageF& image);

}  // namespace cmunet::preprocess
