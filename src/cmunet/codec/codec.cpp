// SPDX-License-Identifier: Apache-2.0
#include "cmunet/codec/codec.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string_view>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/codec/raster.h"

namespace cmunet::codec {
namespace {

using Bytes = std::span<const std::byte>;

bool starts_with(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

Raster decode(Bytes bytes, const std::string& origin) {
  using namespace std::string_view_literals;
  if (bytes.empty()) throw_corrupt(origin, "the file is empty; expected a picture");
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n"sv)) return decode_png(bytes, origin);
  if (starts_with(bytes, "\xff\xd8\xff"sv)) return decode_jpeg(bytes, origin);
  if (starts_with(bytes, "II*\0"sv) || starts_with(bytes, "MM\0*"sv) || starts_with(bytes, "II+\0"sv) ||
      starts_with(bytes, "MM\0+"sv)) {
    return decode_tiff(bytes, origin);
  }
  if (starts_with(bytes, "BM"sv)) return decode_bmp(bytes, origin);
  for (std::string_view magic : {"P2"sv, "P3"sv, "P5"sv, "P6"sv}) {
    if (starts_with(bytes, magic)) return decode_pnm(bytes, origin);
  }
  throw_corrupt(origin, "the first bytes are not those of a picture; expected PNG, JPEG, TIFF, BMP, PGM or PPM");
}

/// Checks what every reader promises, so that the conversions below may index freely.
void check_raster(const Raster& raster, const std::string& origin) {
  const std::size_t expected = raster.row_samples() * static_cast<std::size_t>(raster.height);
  CMUNET_CHECK(raster.samples.size() == expected, ErrorCode::kInternal, "[", origin, "] decoded ",
               raster.samples.size(), " samples; expected ", expected);
  if (raster.palette.empty()) return;
  const auto largest = std::max_element(raster.samples.begin(), raster.samples.end());
  if (*largest >= raster.palette.size()) {
    throw_corrupt(origin, concat("palette index ", *largest, " of ", raster.palette.size(), " colours"));
  }
}

template <typename Sample>
double luma(Sample r, Sample g, Sample b) {
  return 0.299 * r + 0.587 * g + 0.114 * b;  // ITU-R BT.601
}

bool palette_has_colour(const Raster& raster) {
  return std::any_of(raster.palette.begin(), raster.palette.end(),
                     [](const auto& entry) { return entry[0] != entry[1] || entry[1] != entry[2]; });
}

image::ImageF to_grey(const Raster& raster) {
  std::vector<float> palette_grey;
  for (const auto& entry : raster.palette)
    palette_grey.push_back(static_cast<float>(luma(entry[0], entry[1], entry[2])));

  image::ImageF grey(raster.height, raster.width);
  const double scale = 255.0 / raster.max_value;
  const std::uint16_t* sample = raster.samples.data();
  for (float& value : grey) {
    if (!palette_grey.empty()) {
      value = palette_grey[sample[0]];
    } else {
      const double stored = raster.channels >= 3 ? luma(sample[0], sample[1], sample[2]) : double{1} * sample[0];
      value = static_cast<float>((raster.white_is_zero ? raster.max_value - stored : stored) * scale);
    }
    sample += raster.channels;
  }
  return grey;
}

image::Image<std::uint16_t> to_labels(const Raster& raster, const std::string& origin) {
  if (raster.white_is_zero) {
    log_warning("[", origin,
                "] a TIFF of labels that stores white as zero; they are read as it shows: ", raster.max_value,
                " minus the stored value");
  }
  image::Image<std::uint16_t> labels(raster.height, raster.width);
  const std::uint16_t* sample = raster.samples.data();
  for (std::uint16_t& label : labels) {
    label = raster.channels >= 3 ? std::max({sample[0], sample[1], sample[2]}) : sample[0];
    if (raster.white_is_zero) label = static_cast<std::uint16_t>(raster.max_value - label);
    sample += raster.channels;
  }
  return labels;
}

Bytes as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

void throw_corrupt(const std::string& origin, const std::string& detail) {
  throw Error(ErrorCode::kCorrupt, concat("[", origin, "] ", detail));
}

void throw_unsupported(const std::string& origin, const std::string& detail) {
  throw Error(ErrorCode::kUnsupported, concat("[", origin, "] ", detail));
}

void check_size(std::int64_t height, std::int64_t width, const std::string& origin) {
  if (height <= 0 || width <= 0)
    throw_corrupt(origin, concat("the picture is ", height, "x", width, "; it has no pixels"));
  if (height > kMaxSide || width > kMaxSide || height * width > kMaxArea) {
    throw_unsupported(origin, concat("the picture is ", height, "x", width, "; at most ", kMaxSide, " on a side and ",
                                     kMaxArea, " pixels are read"));
  }
}

void warn_of_orientation(int orientation, const char* tag, const std::string& origin) {
  if (orientation < 2 || orientation > 8) return;
  log_warning("[", origin, "] its ", tag, " is ", orientation,
              ", turned or mirrored for display; pixels are taken as stored");
}

void append_packed_row(std::vector<std::uint16_t>& samples, const std::uint8_t* row, std::size_t count, int bits) {
  if (bits == 8) {
    samples.insert(samples.end(), row, row + count);
    return;
  }
  const std::size_t per_byte = bits < 8 ? static_cast<std::size_t>(8 / bits) : 1;
  const int mask = (1 << bits) - 1;
  for (std::size_t i = 0; i < count; ++i) {
    if (bits == 16) {
      samples.push_back(static_cast<std::uint16_t>((row[2 * i] << 8) | row[2 * i + 1]));
    } else {
      const int shift = 8 - bits * static_cast<int>(i % per_byte + 1);
      samples.push_back(static_cast<std::uint16_t>((row[i / per_byte] >> shift) & mask));
    }
  }
}

DecodedImage decode_image(Bytes bytes, const std::string& origin) {
  const Raster raster = decode(bytes, origin);
  check_raster(raster, origin);
  return {to_grey(raster), raster.bit_depth, raster.channels >= 3 || palette_has_colour(raster)};
}

image::Image<std::uint16_t> decode_labels(Bytes bytes, const std::string& origin) {
  const Raster raster = decode(bytes, origin);
  check_raster(raster, origin);
  return to_labels(raster, origin);
}

DecodedImage read_image(const std::filesystem::path& path) {
  return decode_image(as_bytes(read_file(path)), path.string());
}

image::Image<std::uint16_t> read_labels(const std::filesystem::path& path) {
  return decode_labels(as_bytes(read_file(path)), path.string());
}

LabelMask mask_of_labels(const image::Image<std::uint16_t>& labels) {
  const std::uint16_t largest = labels.empty() ? std::uint16_t{0} : *std::max_element(labels.begin(), labels.end());
  LabelMask result{image::Mask(labels.height(), labels.width())};
  std::transform(labels.begin(), labels.end(), result.mask.begin(), [&](std::uint16_t v) -> std::uint8_t {
    if (largest > 64 && v != 0 && v != largest) ++result.soft_pixels;
    return v != 0 ? 1 : 0;
  });
  return result;
}

void warn_of_soft_masks(std::int64_t masks, std::int64_t pixels, const char* operation) {
  if (masks == 0) return;
  log_warning("[", operation, "] ", masks, " masks have ", pixels,
              " pixels between 0 and their largest value (antialiased edges or JPEG?); all count as vessel");
}

bool is_image_file(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 8> kEndings{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm"};
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

}  // namespace cmunet::codec
