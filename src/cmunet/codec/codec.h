// SPDX-License-Identifier: Apache-2.0
// Picture files to pixels and back: reads PNG, JPEG, TIFF, BMP and PGM/PPM, writes PNG. Not for DICOM.
// The bytes are not trusted: sizes are checked before memory is taken, and damage is an Error, never a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "cmunet/image/image.h"

namespace cmunet::codec {

/// Largest side of a picture that is read, in pixels.
inline constexpr std::int64_t kMaxSide = 32768;
/// Largest number of pixels of a picture that is read.
inline constexpr std::int64_t kMaxArea = std::int64_t{1} << 28;

/// A picture as grey values.
struct DecodedImage {
  image::ImageF grey;       ///< [0, 255] whatever the depth: a stored v becomes 255 v / largest; 16-bit: v / 257
  int bit_depth = 8;        ///< stored bits per sample: 1, 2, 4, 8 or 16
  bool had_colour = false;  ///< stored as red, green and blue, or with a palette that is not all grey
};

/// Reads a picture; the format is found in the first bytes, not in the name. Colour becomes luma
/// 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), alpha is ignored, palettes are looked up; of a TIFF the first page.
/// @throws Error kNotFound, kIo; kCorrupt on damaged or truncated bytes; kUnsupported on a format, kind or size
/// (`kMaxSide`, `kMaxArea`) that is not read.
DecodedImage read_image(const std::filesystem::path& path);
/// The same from bytes; `origin` names them in errors.
DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& origin);

/// Reads the stored values, unscaled, as labels: grey values or palette indices; of colour the largest channel.
/// Alpha is ignored. Where white is stored as zero (TIFF), labels are as the picture shows, the largest value minus the
/// stored one, and a warning says so. @throws Error as `read_image`.
image::Image<std::uint16_t> read_labels(const std::filesystem::path& path);
/// The same from bytes; `origin` names them in errors.
image::Image<std::uint16_t> decode_labels(std::span<const std::byte> bytes, const std::string& origin);

/// Labels as a mask: any value but 0 is vessel.
struct LabelMask {
  image::Mask mask;
  /// Neither 0 nor the largest value, where that is above 64: edges that a drawing program or a JPEG made soft. Smaller
  /// numbers are labels of several vessels.
  std::int64_t soft_pixels = 0;
};
LabelMask mask_of_labels(const image::Image<std::uint16_t>& labels);
/// Warns, when there are any, that `masks` masks with together so many `pixels` of that kind count as vessel there.
void warn_of_soft_masks(std::int64_t masks, std::int64_t pixels, const char* operation);

/// The bytes of an 8-bit PNG file, the same for the same pixels, with a Disclaimer chunk: not for clinical use. @throws
/// Error kInvalidArgument when empty.
std::string encode_png(const image::Image<std::uint8_t>& image);
std::string encode_png(const image::ImageRgb& image);

/// Writes an 8-bit PNG atomically: `path` holds the old file or the whole new one.
/// @throws Error kInvalidArgument when empty; kIo.
void write_png(const std::filesystem::path& path, const image::Image<std::uint8_t>& image);
void write_png(const std::filesystem::path& path, const image::ImageRgb& image);

/// True when the name ends as a format read here: png jpg jpeg tif tiff bmp pgm ppm, in any case. No file is opened.
bool is_image_file(const std::filesystem::path& path);

}  // namespace cmunet::codec
