// SPDX-License-Identifier: Apache-2.0
// The two formats simple enough to read by hand: Netpbm's PGM and PPM (plain and raw), and uncompressed BMP.
#include <cstdint>

#include "cmunet/codec/raster.h"

namespace cmunet::codec {
namespace {

using Bytes = std::span<const std::byte>;

const std::uint8_t* raw(Bytes bytes, std::size_t offset) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data()) + offset;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Numbers separated by white space, with # comments to the end of the line.
class PnmText {
 public:
  PnmText(Bytes bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  std::size_t position() const { return at_; }

  int number(int largest) {
    skip_space();
    const std::size_t begin = at_;
    int value = 0;
    for (; at_ < bytes_.size() && is_digit(peek()); ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > largest) throw_corrupt(origin_, concat("a number above ", largest, " at byte ", begin));
    }
    if (at_ == begin) throw_corrupt(origin_, concat("not a whole PGM/PPM: expected a number at byte ", begin));
    return value;
  }

  /// The single white-space byte between the header and raw samples.
  void one_space() {
    if (at_ >= bytes_.size() || !is_space(peek())) throw_corrupt(origin_, "the PGM/PPM header does not end");
    ++at_;
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  char peek() const { return static_cast<char>(bytes_[at_]); }

  void skip_space() {
    while (at_ < bytes_.size() && (is_space(peek()) || peek() == '#')) {
      if (peek() == '#') {
        while (at_ < bytes_.size() && peek() != '\n') ++at_;
      } else {
        ++at_;
      }
    }
  }

  Bytes bytes_;
  const std::string& origin_;
  std::size_t at_ = 2;
};

std::uint32_t le(Bytes bytes, std::size_t offset, int count) {
  std::uint32_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = (value << 8) | *raw(bytes, offset + static_cast<std::size_t>(i));
  return value;
}

struct BmpHeader {
  std::uint32_t pixel_offset = 0;
  std::uint32_t header_bytes = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  bool top_down = false;
  int bits = 0;
  std::uint32_t colours = 0;
};

BmpHeader read_bmp_header(Bytes bytes, const std::string& origin) {
  if (bytes.size() < 54)
    throw_corrupt(origin, concat("not a whole BMP: ", bytes.size(), " bytes, at least 54 expected"));
  BmpHeader header;
  header.pixel_offset = le(bytes, 10, 4);
  header.header_bytes = le(bytes, 14, 4);
  if (header.header_bytes < 40 || header.header_bytes > 124) {
    throw_unsupported(origin, concat("a BMP header of ", header.header_bytes, " bytes; 40 to 124 are read"));
  }
  header.width = static_cast<std::int32_t>(le(bytes, 18, 4));
  header.height = static_cast<std::int32_t>(le(bytes, 22, 4));
  header.top_down = header.height < 0;
  if (header.top_down) header.height = -header.height;
  check_size(header.height, header.width, origin);
  header.bits = static_cast<int>(le(bytes, 28, 2));
  const std::uint32_t compression = le(bytes, 30, 4);
  const bool known = header.bits == 1 || header.bits == 4 || header.bits == 8 || header.bits == 24 || header.bits == 32;
  // 3 is "bit fields"; with 32 bits they are in practice the usual blue, green, red.
  const bool fields_ok = compression == 3 && header.bits == 32 && bytes.size() >= 66 && le(bytes, 54, 4) == 0xff0000U &&
                         le(bytes, 58, 4) == 0xff00U && le(bytes, 62, 4) == 0xffU;
  if (!known || (compression != 0 && !fields_ok)) {
    throw_unsupported(origin, concat("a BMP of ", header.bits, " bits with compression ", compression,
                                     "; uncompressed 1, 4, 8, 24 and 32 bits are read"));
  }
  header.colours = le(bytes, 46, 4);
  if (header.bits <= 8 && header.colours == 0) header.colours = 1U << header.bits;
  return header;
}

void read_bmp_palette(Bytes bytes, const BmpHeader& header, Raster& raster, const std::string& origin) {
  const std::size_t start = std::size_t{14} + header.header_bytes;
  if (header.colours > (1U << header.bits) || start + std::size_t{4} * header.colours > bytes.size()) {
    throw_corrupt(origin, concat("a BMP palette of ", header.colours, " colours does not fit"));
  }
  for (std::size_t i = 0; i < header.colours; ++i) {
    const std::uint8_t* entry = raw(bytes, start + 4 * i);
    raster.palette.push_back({entry[2], entry[1], entry[0]});
  }
}

}  // namespace

Raster decode_pnm(Bytes bytes, const std::string& origin) {
  const char kind = static_cast<char>(bytes[1]);
  const bool plain = kind == '2' || kind == '3';
  PnmText text(bytes, origin);
  constexpr int kLargestNumber = 100'000'000;
  Raster raster;
  raster.channels = kind == '3' || kind == '6' ? 3 : 1;
  raster.width = text.number(kLargestNumber);
  raster.height = text.number(kLargestNumber);
  check_size(raster.height, raster.width, origin);
  raster.max_value = text.number(65535);
  if (raster.max_value == 0) throw_corrupt(origin, "the largest value of a PGM/PPM is 0");
  raster.bit_depth = raster.max_value > 255 ? 16 : 8;

  const std::size_t count = raster.row_samples() * static_cast<std::size_t>(raster.height);
  if (plain) {
    for (std::size_t i = 0; i < count; ++i) {
      raster.samples.push_back(static_cast<std::uint16_t>(text.number(raster.max_value)));
    }
    return raster;
  }
  text.one_space();
  const std::size_t expected = count * static_cast<std::size_t>(raster.bit_depth / 8);
  const std::size_t available = bytes.size() - text.position();
  if (available < expected) {
    throw_corrupt(origin, concat("not a whole PGM/PPM: ", available, " bytes of samples, expected ", expected));
  }
  append_packed_row(raster.samples, raw(bytes, text.position()), count, raster.bit_depth);
  for (std::uint16_t sample : raster.samples) {
    if (sample > raster.max_value)
      throw_corrupt(origin, concat("a sample is ", sample, " of at most ", raster.max_value));
  }
  return raster;
}

Raster decode_bmp(Bytes bytes, const std::string& origin) {
  const BmpHeader header = read_bmp_header(bytes, origin);
  Raster raster;
  raster.height = static_cast<int>(header.height);
  raster.width = static_cast<int>(header.width);
  raster.channels = header.bits >= 24 ? 3 : 1;
  raster.bit_depth = header.bits >= 24 ? 8 : header.bits;
  raster.max_value = (1 << raster.bit_depth) - 1;
  if (header.bits <= 8) read_bmp_palette(bytes, header, raster, origin);

  const auto width = static_cast<std::size_t>(raster.width);
  const auto height = static_cast<std::size_t>(raster.height);
  const std::size_t stride = (width * static_cast<std::size_t>(header.bits) + 31) / 32 * 4;  // rows end on 4 bytes
  if (header.pixel_offset > bytes.size() || bytes.size() - header.pixel_offset < stride * height) {
    throw_corrupt(
        origin, concat("not a whole BMP: ", bytes.size(), " bytes, expected ", header.pixel_offset + stride * height));
  }
  for (std::size_t y = 0; y < height; ++y) {
    const std::uint8_t* row = raw(bytes, header.pixel_offset + (header.top_down ? y : height - 1 - y) * stride);
    if (header.bits <= 8) {
      append_packed_row(raster.samples, row, width, header.bits);
      continue;
    }
    const std::size_t step = static_cast<std::size_t>(header.bits / 8);
    for (std::size_t x = 0; x < width; ++x) {
      const std::uint8_t* pixel = row + x * step;
      raster.samples.insert(raster.samples.end(), {pixel[2], pixel[1], pixel[0]});
    }
  }
  return raster;
}

}  // namespace cmunet::codec
