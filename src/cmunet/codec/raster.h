// SPDX-License-Identifier: Apache-2.0
// What the format readers hand to codec.cpp. Private to the module.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cmunet/codec/codec.h"

namespace cmunet::codec {

/// Samples as stored, row-major and interleaved.
struct Raster {
  int height = 0;
  int width = 0;
  int channels = 1;  ///< 1 grey or index, 2 grey + alpha, 3 RGB, 4 RGB + alpha
  int bit_depth = 8;
  int max_value = 255;                               ///< the stored value of full brightness
  bool white_is_zero = false;                        ///< TIFF's inverted grey
  std::vector<std::array<std::uint8_t, 3>> palette;  ///< not empty: one channel of indices into it
  /// Readers append row by row, so that a header alone cannot take the memory of the picture it promises.
  std::vector<std::uint16_t> samples;

  std::size_t row_samples() const { return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels); }
};

/// Throws kCorrupt when a side is not positive, kUnsupported when it or the area is above the limit.
void check_size(std::int64_t height, std::int64_t width, const std::string& origin);
/// Throws kCorrupt "[origin] detail".
[[noreturn]] void throw_corrupt(const std::string& origin, const std::string& detail);
/// Throws kUnsupported "[origin] detail".
[[noreturn]] void throw_unsupported(const std::string& origin, const std::string& detail);

/// Warns when `orientation` (of the named tag; EXIF and TIFF 6.0: 1 to 8) says that the picture is to be turned or
/// mirrored for display, which no reader does. Other numbers mean nothing.
void warn_of_orientation(int orientation, const char* tag, const std::string& origin);

/// Appends one row of packed samples of 1, 2, 4 or 8 bits, most significant bits first, or of 16 bits big-endian.
/// `row` holds at least ceil(count * bits / 8) bytes.
void append_packed_row(std::vector<std::uint16_t>& samples, const std::uint8_t* row, std::size_t count, int bits);

Raster decode_png(std::span<const std::byte> bytes, const std::string& origin);
Raster decode_jpeg(std::span<const std::byte> bytes, const std::string& origin);
Raster decode_tiff(std::span<const std::byte> bytes, const std::string& origin);
Raster decode_bmp(std::span<const std::byte> bytes, const std::string& origin);
Raster decode_pnm(std::span<const std::byte> bytes, const std::string& origin);

}  // namespace cmunet::codec
