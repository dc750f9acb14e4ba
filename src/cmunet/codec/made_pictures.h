// SPDX-License-Identifier: Apache-2.0
// For tests: JPEG and TIFF files made with the libraries themselves, and what the code under test makes of them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cmunet/base/log.h"
#include "cmunet/codec/codec.h"

namespace cmunet::codec {

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

inline std::vector<float> grey_of(const std::string& file) {
  const image::ImageF grey = decode_image(bytes_of(file), "test").grey;
  return {grey.begin(), grey.end()};
}

inline std::vector<int> labels_of(const std::string& file) {
  const auto labels = decode_labels(bytes_of(file), "test");
  return {labels.begin(), labels.end()};
}

template <typename Work>
std::vector<std::string> warnings_of(const Work& work) {
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  work();
  set_log_sink({});
  return warnings;
}

/// Of quality 95, baseline or progressive, from rows of `components` interleaved samples.
std::string make_jpeg(int height, int width, int components, bool progressive, const std::vector<std::uint8_t>& pixels);

/// Tags by their numbers in TIFF 6.0; `mode` as of TIFFOpen.
struct TiffKind {
  int bits = 8;
  int channels = 1;
  int photometric = 1;  // black is zero
  int compression = 1;  // none
  int planar = 1;       // interleaved
  int tile = 0;
  int format = 1;  // unsigned
  bool colour_map = false;
  int orientation = 1;  // as stored
  const char* mode = "w";
};

/// `value(y, x, c)` gives the samples, of 8 or 16 bits.
std::string make_tiff(const TiffKind& kind, int height, int width,
                      const std::function<int(int y, int x, int c)>& value);

inline std::string little(std::uint64_t value, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

/// A JPEG with an EXIF block of `directory` right behind the first marker; `entries` is what it claims to hold.
inline std::string with_exif(const std::string& jpeg, const std::string& directory, std::uint64_t at = 8,
                             std::uint64_t entries = 1) {
  const std::string block =
      std::string("Exif\0\0II*\0", 10) + little(at, 4) + little(entries, 2) + directory + little(0, 4);
  const auto length = static_cast<unsigned char>(block.size() + 2);
  return jpeg.substr(0, 2) + "\xff\xe1" + '\0' + static_cast<char>(length) + block + jpeg.substr(2);
}

/// A directory's entry for one short number.
inline std::string exif_short(std::uint64_t tag, std::uint64_t value) {
  return little(tag, 2) + little(3, 2) + little(1, 4) + little(value, 4);
}

}  // namespace cmunet::codec
