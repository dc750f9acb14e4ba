// SPDX-License-Identifier: Apache-2.0
// Resampling to another size. Pixel centres are at half-integers of the pixel edges, as in Pillow.
#pragma once

#include <algorithm>
#include <span>

#include "cmunet/image/image.h"

namespace cmunet::image {

/// Pillow's BICUBIC on floats (a = −0.5): the filter widens when the image shrinks, so nothing aliases. May overshoot
/// the range of the input. Spacing is scaled. @throws Error kInvalidArgument for an empty image or size.
ImageF resize_bicubic(const ImageF& image, int height, int width);

/// Pillow's BILINEAR on floats, likewise antialiased; never overshoots.
ImageF resize_bilinear(const ImageF& image, int height, int width);

/// One row of `resize_bicubic`'s arithmetic, for doing it elsewhere: weights[o · in + i] is the share of input pixel i
/// in output pixel o when the part [start, start + length) of a line of `in` pixels becomes `out` pixels. Taps outside
/// the part are left out and the rest add up to 1. `weights` holds out · in values and is overwritten.
void fill_bicubic_weights(std::span<float> weights, int in, double start, double length, int out);

/// Spacing after a change of size; absent stays absent.
std::optional<Spacing> scaled_spacing(const std::optional<Spacing>& spacing, double row_factor, double col_factor);

/// Nearest neighbour: output pixel i takes input pixel floor((i + 0.5) · in / out). For masks and labels.
template <typename T>
Image<T> resize_nearest(const Image<T>& image, int height, int width) {
  CMUNET_CHECK(!image.empty() && height > 0 && width > 0, ErrorCode::kInvalidArgument, "[resize] from ", image.height(),
               "x", image.width(), " to ", height, "x", width, "; sizes must be positive");
  const auto nearest = [](int i, int in, int out) {
    return std::min(in - 1, static_cast<int>((static_cast<double>(i) + 0.5) * in / out));
  };
  Image<T> result(height, width);
  for (int y = 0; y < height; ++y) {
    const T* source = image.row(nearest(y, image.height(), height));
    for (int x = 0; x < width; ++x) result.at(y, x) = source[nearest(x, image.width(), width)];
  }
  result.spacing_mm = scaled_spacing(image.spacing_mm, static_cast<double>(image.height()) / height,
                                     static_cast<double>(image.width()) / width);
  return result;
}

}  // namespace cmunet::image
