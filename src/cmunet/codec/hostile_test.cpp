// SPDX-License-Identifier: Apache-2.0
// Files that lie about their size, every single damaged byte of a PNG, pages beyond the first, and real pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tiffio.h>

#include <fstream>
#include <string>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/peak_memory.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/base/version.h"
#include "cmunet/codec/codec.h"

namespace cmunet::codec {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string number(std::uint64_t value, int count, bool big_endian) {
  std::string out;
  for (int i = 0; i < count; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return big_endian ? std::string(out.rbegin(), out.rend()) : out;
}
std::string big(std::uint32_t value, int count) { return number(value, count, true); }
std::string little(std::uint32_t value, int count) { return number(value, count, false); }

std::string png_chunk(const std::string& type_and_data) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : type_and_data) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  return big(static_cast<std::uint32_t>(type_and_data.size() - 4), 4) + type_and_data + big(~crc, 4);
}

/// A PNG header and the beginning of pixels that never come.
std::string png_header(std::uint32_t side, bool interlaced) {
  const std::string header = "IHDR" + big(side, 4) + big(side, 4) + std::string("\x08\0\0\0", 4) + big(interlaced, 1);
  return "\x89PNG\r\n\x1a\n" + png_chunk(header) + png_chunk("IDAT\x78\x9c");
}

std::string jpeg_header(std::uint32_t side, bool progressive) {
  const std::string frame = std::string("\xff") + (progressive ? "\xc2" : "\xc0") + big(11, 2) + "\x08" + big(side, 2) +
                            big(side, 2) + std::string("\x01\x01\x11\0", 4);
  const std::string scan = "\xff\xda" + big(8, 2) + std::string("\x01\x01\0\0\x3f\0", 6);
  return "\xff\xd8" + frame + scan;
}

/// A little-endian TIFF of one strip or one tile that claims `side` x `side` pixels in `count` bytes.
std::string tiff_header(std::uint32_t side, std::uint32_t tile) {
  struct Tag {
    std::uint32_t id, value;
  };
  std::vector<Tag> tags{{256, side}, {257, side}, {258, 8}, {259, 1}, {262, 1}, {277, 1}};
  if (tile == 0) {
    tags.insert(tags.end(), {{273, 8}, {278, side}, {279, side * side}});
  } else {
    tags.insert(tags.end(), {{322, tile}, {323, tile}, {324, 8}, {325, tile * tile}});
  }
  std::string out = std::string("II*\0", 4) + little(8, 4) + little(static_cast<std::uint32_t>(tags.size()), 2);
  for (const Tag& tag : tags) out += little(tag.id, 2) + little(4, 2) + little(1, 4) + little(tag.value, 4);
  return out + little(0, 4);
}

std::string bmp_header(std::uint32_t side) {
  return "BM" + little(0, 8) + little(54, 4) + little(40, 4) + little(side, 4) + little(side, 4) + little(1, 2) +
         little(24, 2) + std::string(24, '\0');
}

TEST(Bombs, ALargeSizeInASmallFileTakesNoMemory) {
  const std::string size = "16000 16000 255\n";
  const std::vector<std::string> files{png_header(60000, false),
                                       png_header(60000, true),
                                       png_header(16000, false),
                                       png_header(16000, true),
                                       jpeg_header(65500, false),
                                       jpeg_header(16000, false),
                                       jpeg_header(16000, true),
                                       tiff_header(60000, 0),
                                       tiff_header(16000, 0),
                                       tiff_header(16000, 4096),
                                       tiff_header(16000, 0x7ffffff0),
                                       bmp_header(60000),
                                       bmp_header(16000),
                                       bmp_header(0x7fffffff),
                                       bmp_header(0x80000000U),
                                       "P5 " + size,
                                       "P2 " + size,
                                       "P6 " + size};
  const std::int64_t before = peak_kib();
  for (std::size_t i = 0; i < files.size(); ++i) {
    SCOPED_TRACE(i);
    try {
      decode_image(bytes_of(files[i]), "bomb");
      ADD_FAILURE() << "was read";
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kUnsupported) << error.what();
    }
  }
  EXPECT_LT(peak_kib() - before, 64 * 1024 + kSanitizer_kib);
}

TEST(Damage, EveryChangedByteOfAPngIsNoticed) {
  image::Image<std::uint8_t> picture(12, 17);
  Rng rng(11);
  for (auto& value : picture) value = static_cast<std::uint8_t>(rng.below(256));
  const std::string file = encode_png(picture);
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << rng.below(8)));
    EXPECT_THROW(decode_image(bytes_of(damaged), "test"), Error) << "byte " << at << " of " << file.size();
  }
}

TEST(Png, SaysThatItIsNotForClinicalUse) {
  const std::string file = encode_png(image::Image<std::uint8_t>(4, 3, 9));
  EXPECT_NE(file.find(std::string("tEXtDisclaimer") + '\0' + kDisclaimer), std::string::npos);
}

TEST(Png, TheSamePixelsGiveTheSameBytes) {
  const image::Image<std::uint8_t> grey(40, 30, 9);
  const image::ImageRgb colour(40, 30, {1, 2, 3});
  EXPECT_EQ(encode_png(grey), encode_png(image::Image<std::uint8_t>(grey)));
  EXPECT_EQ(encode_png(colour), encode_png(image::ImageRgb(colour)));
}

TEST(Tiff, OfSeveralPagesTheFirstIsReadWithAWarning) {
  const ScratchFolder folder;
  for (const int pages : {1, 3}) {
    const std::string path = (folder / ("pages" + std::to_string(pages) + ".tif")).string();
    TIFF* tiff = TIFFOpen(path.c_str(), "w");
    for (int page = 0; page < pages; ++page) {
      TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 4);
      TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 1);
      TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
      TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
      TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
      std::vector<std::uint8_t> row(4, static_cast<std::uint8_t>(10 + page));
      TIFFWriteScanline(tiff, row.data(), 0, 0);
      TIFFWriteDirectory(tiff);
    }
    TIFFClose(tiff);
    std::vector<std::string> warnings;
    set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
    const DecodedImage image = read_image(path);
    set_log_sink({});
    EXPECT_EQ(image.grey.at(0, 3), 10.0F);
    if (pages == 1) {
      EXPECT_THAT(warnings, testing::IsEmpty());
    } else {
      EXPECT_THAT(warnings, testing::ElementsAre(testing::HasSubstr("first page")));
    }
  }
}

TEST(RealData, PicturesAreReadAsPillowAndScikitImageReadThem) {
  const std::filesystem::path root = CMUNET_SHARED_DATA;
  if (!std::filesystem::is_directory(root)) GTEST_SKIP() << "no data at " << root;
  std::ifstream list(std::string(CMUNET_SOURCE_DIR) + "/tests/golden/decoded_pictures.txt");
  std::string name;
  int height = 0;
  int width = 0;
  std::int64_t checksum = 0;
  int read = 0;
  while (list >> name >> height >> width >> checksum) {
    SCOPED_TRACE(name);
    const image::Image<std::uint16_t> labels = read_labels(root / name);
    const DecodedImage image = read_image(root / name);
    ASSERT_EQ(labels.height(), height);
    ASSERT_EQ(labels.width(), width);
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      sum += static_cast<std::int64_t>(i + 1) * labels.data()[i];
      ASSERT_EQ(image.grey.data()[i], static_cast<float>(labels.data()[i]));
    }
    EXPECT_EQ(sum, checksum);
    ++read;
  }
  EXPECT_EQ(read, 26);
}

}  // namespace
}  // namespace cmunet::codec
