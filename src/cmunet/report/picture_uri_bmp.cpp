// SPDX-License-Identifier: Apache-2.0
// For builds without image codecs (CMUNET_IMAGING=OFF): uncompressed, larger, read by every browser.
#include <cstdint>

#include "cmunet/report/picture_uri.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

void append_le(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

// BITMAPFILEHEADER, BITMAPINFOHEADER (24 bits, no compression), rows from the bottom up padded to four bytes.
std::string encode_bmp(const image::ImageRgb& image) {
  constexpr std::uint32_t kHeaderBytes = 54;
  const auto width = static_cast<std::uint32_t>(image.width());
  const auto height = static_cast<std::uint32_t>(image.height());
  const std::uint32_t row_bytes = (3 * width + 3) / 4 * 4;
  std::string out = "BM";
  append_le(out, kHeaderBytes + row_bytes * height, 4);
  append_le(out, 0, 4);
  append_le(out, kHeaderBytes, 4);
  append_le(out, 40, 4);
  append_le(out, width, 4);
  append_le(out, height, 4);
  append_le(out, 1, 2);
  append_le(out, 24, 2);
  append_le(out, 0, 4);
  append_le(out, row_bytes * height, 4);
  for (int i = 0; i < 4; ++i) append_le(out, 0, 4);  // resolution and palette: none
  for (int y = image.height() - 1; y >= 0; --y) {
    for (int x = 0; x < image.width(); ++x) {
      const image::Rgb pixel = image.at(y, x);
      for (const std::uint8_t byte : {pixel.b, pixel.g, pixel.r}) out += static_cast<char>(byte);
    }
    out.append(row_bytes - 3 * width, '\0');
  }
  return out;
}

}  // namespace

std::string picture_uri(const image::ImageRgb& image) {
  CMUNET_CHECK(!image.empty(), ErrorCode::kInvalidArgument, "[picture] the image is empty; it must have pixels");
  CMUNET_CHECK(image.size() < (std::size_t{1} << 28), ErrorCode::kUnsupported, "[picture] ", image.height(), "x",
               image.width(), " pixels; at most 2^28 fit a page");
  return "data:image/bmp;base64," + base64(encode_bmp(image));
}

}  // namespace cmunet::report
