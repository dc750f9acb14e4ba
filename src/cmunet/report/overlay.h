// SPDX-License-Identifier: Apache-2.0
// Masks drawn over angiograms, in colours that people with colour-vision deficiency can tell apart.
#pragma once

#include <cstdint>

#include "cmunet/image/image.h"

namespace cmunet::report {

// From the palette of Okabe and Ito (2008): they differ in lightness as well as in hue.
inline constexpr image::Rgb kVesselColour{86, 180, 233};         ///< predicted vessel; sky blue
inline constexpr image::Rgb kBridgeColour{230, 159, 0};          ///< assumed, not seen; orange
inline constexpr image::Rgb kTruePositiveColour{86, 180, 233};   ///< in both masks; sky blue
inline constexpr image::Rgb kFalsePositiveColour{213, 94, 0};    ///< only in the prediction; vermillion
inline constexpr image::Rgb kFalseNegativeColour{240, 228, 66};  ///< only in the target; yellow

/// Grey values as 8-bit grey: the 1st percentile of the finite values becomes 0, the 99th 255, so that z-scored and
/// 8-bit images look alike and a few extreme pixels do not wash the picture out. Non-finite pixels are black; an
/// image of one value is mid grey.
image::Image<std::uint8_t> to_grey8(const image::ImageF& image);
/// Grey as colour.
image::ImageRgb to_rgb(const image::Image<std::uint8_t>& grey);

/// The picture with the predicted vessel tinted and its outermost pixels (4-neighbours of the background) in full
/// colour. An empty `image` means that there is none: the mask is drawn on dark grey.
/// @param bridges  pixels of the mask that were assumed to close gaps, in a colour of their own; empty for none
/// @throws Error kInvalidArgument unless all have one size.
image::ImageRgb overlay_mask(const image::ImageF& image, const image::Mask& pred, const image::Mask& bridges = {});

/// The picture with true positives, false positives and false negatives in their colours. `image` may be empty, as
/// above. @throws Error kInvalidArgument unless all have one size.
image::ImageRgb overlay_errors(const image::ImageF& image, const image::Mask& pred, const image::Mask& target);

}  // namespace cmunet::report
