// SPDX-License-Identifier: Apache-2.0
// A 2-D image on plain memory, with its pixel spacing when that is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cmunet/base/error.h"

namespace cmunet::image {

/// Distance between pixel centres in millimetres. Row spacing is between rows (along y), as the first value of
/// DICOM PixelSpacing (0028,0030). Absent means unknown: never assume 1 mm.
struct Spacing {
  double row_mm = 0;
  double col_mm = 0;
  bool operator==(const Spacing&) const = default;
};

/// Row-major image: pixel (y, x) is `data[y * width + x]`, y down, x right; pixel centres at integer coordinates.
/// A plain value: copying copies the pixels.
template <typename T>
class Image {
 public:
  Image() = default;
  /// @throws Error kInvalidArgument when a side is negative or the area exceeds 2^31.
  Image(int height, int width, T fill = T{}) : height_(height), width_(width) {
    const bool size_ok = height >= 0 && width >= 0 && std::int64_t{height} * width < (std::int64_t{1} << 31);
    CMUNET_CHECK(size_ok, ErrorCode::kInvalidArgument, "[image] size ", height, "x", width, " is out of range");
    data_.assign(static_cast<std::size_t>(height) * static_cast<std::size_t>(width), fill);
  }

  int height() const { return height_; }
  int width() const { return width_; }
  std::size_t size() const { return data_.size(); }
  bool empty() const { return data_.empty(); }

  T& at(int y, int x) { return data_[index(y, x)]; }
  const T& at(int y, int x) const { return data_[index(y, x)]; }
  /// True when (y, x) lies on the grid.
  bool contains(int y, int x) const { return y >= 0 && x >= 0 && y < height_ && x < width_; }

  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  T* row(int y) { return data_.data() + index(y, 0); }
  const T* row(int y) const { return data_.data() + index(y, 0); }
  auto begin() { return data_.begin(); }
  auto end() { return data_.end(); }
  auto begin() const { return data_.begin(); }
  auto end() const { return data_.end(); }

  bool operator==(const Image&) const = default;

  /// Millimetres per pixel, when known. Carried through resampling by whoever resamples.
  std::optional<Spacing> spacing_mm;

 private:
  std::size_t index(int y, int x) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x);
  }

  int height_ = 0;
  int width_ = 0;
  std::vector<T> data_;
};

/// A binary mask: 0 background, 1 vessel. Anything else is a caller's error.
using Mask = Image<std::uint8_t>;
/// Grey values; the range is stated where one is passed.
using ImageF = Image<float>;

/// 8-bit colour, for overlays and pictures.
struct Rgb {
  std::uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Rgb&) const = default;
};
using ImageRgb = Image<Rgb>;

/// Throws kInvalidArgument "[operation] pred is HxW but target is HxW" unless both have one size.
template <typename A, typename B>
void check_same_size(const Image<A>& pred, const Image<B>& target, const char* operation) {
  CMUNET_CHECK(pred.height() == target.height() && pred.width() == target.width(), ErrorCode::kInvalidArgument, "[",
               operation, "] pred is ", pred.height(), "x", pred.width(), " but target is ", target.height(), "x",
               target.width(), "; both must have one size");
}

}  // namespace cmunet::image
