// SPDX-License-Identifier: Apache-2.0
// Files are made here with the libraries themselves, or byte by byte, and read back by the code under test.
#include "cmunet/codec/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <tiffio.h>

#include <algorithm>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/codec/made_pictures.h"

namespace cmunet::codec {
namespace {

using image::Image;
using image::ImageRgb;
using image::Rgb;

ErrorCode failure(const std::string& file) {
  try {
    decode_image(bytes_of(file), "test");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("test"));
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown for " << file.size() << " bytes";
  return ErrorCode::kInternal;
}

Image<std::uint8_t> noise(int height, int width) {
  Image<std::uint8_t> out(height, width);
  Rng rng(7);
  for (auto& v : out) v = static_cast<std::uint8_t>(rng.below(256));
  return out;
}

ImageRgb colour_noise(int height, int width) {
  ImageRgb out(height, width);
  Rng rng(8);
  const auto byte = [&] { return static_cast<std::uint8_t>(rng.below(256)); };
  for (auto& v : out) v = {byte(), byte(), byte()};
  return out;
}

struct PngKind {
  int bits = 8;
  int colour = PNG_COLOR_TYPE_GRAY;
  bool interlaced = false;
  std::vector<png_color> palette = {};
};

std::string make_png(const PngKind& kind, int height, int width, const std::vector<std::vector<png_byte>>& rows) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep data, std::size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), n);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), kind.bits, kind.colour,
               kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (!kind.palette.empty()) png_set_PLTE(png, info, kind.palette.data(), static_cast<int>(kind.palette.size()));
  png_write_info(png, info);
  std::vector<std::vector<png_byte>> copy = rows;
  std::vector<png_bytep> pointers;
  for (auto& row : copy) pointers.push_back(row.data());
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

/// A BMP file with a 40-byte header.
std::string make_bmp(int height, int width, int bits, const std::string& palette, const std::string& rows) {
  const auto offset = static_cast<std::uint32_t>(54 + palette.size());
  return "BM" + little(offset + static_cast<std::uint32_t>(rows.size()), 4) + little(0, 4) + little(offset, 4) +
         little(40, 4) + little(static_cast<std::uint32_t>(width), 4) + little(static_cast<std::uint32_t>(height), 4) +
         little(1, 2) + little(static_cast<std::uint32_t>(bits), 2) + little(0, 4) + little(0, 4) + little(0, 8) +
         little(static_cast<std::uint32_t>(palette.size() / 4), 4) + little(0, 4) + palette + rows;
}

double luma(const Rgb& p) { return 0.299 * p.r + 0.587 * p.g + 0.114 * p.b; }

/// One small file of every format and kind, for the tests of damage.
std::vector<std::pair<std::string, std::string>> one_of_each() {
  const auto picture = noise(24, 31);
  const std::vector<std::uint8_t> pixels(picture.begin(), picture.end());
  std::vector<std::vector<png_byte>> rows;
  for (int y = 0; y < 24; ++y) rows.emplace_back(picture.row(y), picture.row(y) + 31);
  const auto value = [&](int y, int x, int) { return y < 24 && x < 31 ? picture.at(y, x) : 0; };
  const std::string raw(pixels.begin(), pixels.end());
  return {{"png", encode_png(picture)},
          {"png colour", encode_png(colour_noise(24, 31))},
          {"png interlaced", make_png({8, PNG_COLOR_TYPE_GRAY, true}, 24, 31, rows)},
          {"jpeg", make_jpeg(24, 31, 1, false, pixels)},
          {"jpeg exif", with_exif(make_jpeg(24, 31, 1, false, pixels), exif_short(0x0112, 6))},
          {"jpeg progressive", make_jpeg(8, 31, 3, true, pixels)},
          {"tiff", make_tiff({}, 24, 31, value)},
          {"tiff lzw", make_tiff({.compression = COMPRESSION_LZW}, 24, 31, value)},
          {"tiff deflate", make_tiff({.compression = COMPRESSION_ADOBE_DEFLATE}, 24, 31, value)},
          {"tiff tiled", make_tiff({.tile = 16}, 24, 31, value)},
          {"bmp", make_bmp(24, 28, 24, "", (raw + raw + raw).substr(0, 24 * 28 * 3))},
          {"pgm", "P5\n31 24\n255\n" + raw},
          {"pgm plain", "P2 3 2 255 1 2 3 40 50 60"}};
}

TEST(Png, WritesAndReadsGrey) {
  const auto picture = noise(37, 53);
  const ScratchFolder folder;
  write_png(folder / "a.png", picture);
  const DecodedImage back = read_image(folder / "a.png");
  const Image<std::uint16_t> labels = read_labels(folder / "a.png");
  EXPECT_EQ(back.bit_depth, 8);
  EXPECT_FALSE(back.had_colour);
  ASSERT_EQ(back.grey.height(), 37);
  ASSERT_EQ(back.grey.width(), 53);
  for (std::size_t i = 0; i < picture.size(); ++i) {
    EXPECT_EQ(back.grey.data()[i], static_cast<float>(picture.data()[i]));
    EXPECT_EQ(labels.data()[i], picture.data()[i]);
  }
}

TEST(Png, WritesAndReadsColour) {
  const auto picture = colour_noise(9, 11);
  const std::string file = encode_png(picture);
  const DecodedImage back = decode_image(bytes_of(file), "test");
  const auto labels = decode_labels(bytes_of(file), "test");
  EXPECT_TRUE(back.had_colour);
  for (std::size_t i = 0; i < picture.size(); ++i) {
    const Rgb p = picture.data()[i];
    EXPECT_NEAR(back.grey.data()[i], luma(p), 1e-4);
    EXPECT_EQ(labels.data()[i], std::max({p.r, p.g, p.b}));
  }
}

TEST(Png, RefusesToWriteNothing) {
  EXPECT_THROW(encode_png(Image<std::uint8_t>(0, 5)), Error);
  EXPECT_THROW(encode_png(ImageRgb()), Error);
}

TEST(Png, SixteenBitsAreDividedBy257) {
  const std::string file = make_png({16}, 1, 3, {{0xff, 0xff, 0x12, 0x34, 0, 0}});
  const DecodedImage back = decode_image(bytes_of(file), "test");
  EXPECT_EQ(back.bit_depth, 16);
  EXPECT_FLOAT_EQ(back.grey.at(0, 0), 255.0F);
  EXPECT_FLOAT_EQ(back.grey.at(0, 1), 0x1234 / 257.0F);
  EXPECT_EQ(decode_labels(bytes_of(file), "test").at(0, 1), 0x1234);
}

TEST(Png, FewBitsSpanTheWholeRange) {
  const std::string two = make_png({2}, 1, 5, {{0b00011011, 0b10000000}});
  EXPECT_THAT(grey_of(two), testing::ElementsAre(0, 85, 170, 255, 170));
  EXPECT_THAT(labels_of(two), testing::ElementsAre(0, 1, 2, 3, 2));
  const std::string one = make_png({1}, 1, 3, {{0b10100000}});
  EXPECT_THAT(grey_of(one), testing::ElementsAre(255, 0, 255));
}

TEST(Png, PaletteGivesColoursToImagesAndIndicesToLabels) {
  const PngKind kind{8, PNG_COLOR_TYPE_PALETTE, false, {{0, 0, 0}, {255, 0, 0}, {0, 255, 0}}};
  const std::string file = make_png(kind, 1, 3, {{2, 1, 0}});
  const DecodedImage back = decode_image(bytes_of(file), "test");
  EXPECT_TRUE(back.had_colour);
  EXPECT_NEAR(back.grey.at(0, 0), 0.587 * 255, 1e-4);
  EXPECT_NEAR(back.grey.at(0, 1), 0.299 * 255, 1e-4);
  EXPECT_THAT(labels_of(file), testing::ElementsAre(2, 1, 0));
}

TEST(Png, AlphaIsIgnored) {
  const std::string grey = make_png({8, PNG_COLOR_TYPE_GRAY_ALPHA}, 1, 2, {{10, 0, 20, 255}});
  EXPECT_THAT(grey_of(grey), testing::ElementsAre(10, 20));
  const std::string rgb = make_png({8, PNG_COLOR_TYPE_RGB_ALPHA}, 1, 1, {{5, 5, 5, 0}});
  EXPECT_NEAR(decode_image(bytes_of(rgb), "test").grey.at(0, 0), 5, 1e-4);
}

TEST(Png, InterlacedEqualsPlain) {
  const auto picture = noise(13, 17);
  std::vector<std::vector<png_byte>> rows;
  for (int y = 0; y < 13; ++y) rows.emplace_back(picture.row(y), picture.row(y) + 17);
  const std::string file = make_png({8, PNG_COLOR_TYPE_GRAY, true}, 13, 17, rows);
  EXPECT_EQ(decode_image(bytes_of(file), "test").grey, decode_image(bytes_of(encode_png(picture)), "test").grey);
}

TEST(Png, HugeHeaderIsRefusedBeforeMemoryIsTaken) {
  // A whole IHDR of 60000 x 60000 with its right checksum, which libpng verifies; the pixels do not matter.
  std::string file = encode_png(Image<std::uint8_t>(1, 1, 3));
  const auto big = [](std::uint32_t v) {
    std::string out = little(v, 4);
    return std::string(out.rbegin(), out.rend());
  };
  std::string chunk = "IHDR" + big(60000) + big(60000) + std::string("\x08\0\0\0\0", 5);
  std::uint32_t crc = 0xffffffffU;
  for (const char c : chunk) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  file.replace(12, chunk.size() + 4, chunk + big(~crc));
  EXPECT_EQ(failure(file), ErrorCode::kUnsupported);
}

TEST(Jpeg, GreyAndColourComeBackClosely) {
  for (const bool progressive : {false, true}) {
    std::vector<std::uint8_t> grey;
    std::vector<std::uint8_t> colour;
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 50; ++x) {
        const auto v = static_cast<std::uint8_t>(3 * x + 2 * y);
        grey.push_back(v);
        colour.insert(colour.end(), {v, static_cast<std::uint8_t>(v / 2), 30});
      }
    }
    const DecodedImage a = decode_image(bytes_of(make_jpeg(40, 50, 1, progressive, grey)), "test");
    const DecodedImage b = decode_image(bytes_of(make_jpeg(40, 50, 3, progressive, colour)), "test");
    EXPECT_FALSE(a.had_colour);
    EXPECT_TRUE(b.had_colour);
    for (std::size_t i = 0; i < grey.size(); ++i) {
      EXPECT_NEAR(a.grey.data()[i], grey[i], 4);
      EXPECT_NEAR(b.grey.data()[i], luma({colour[3 * i], colour[3 * i + 1], colour[3 * i + 2]}), 6);
    }
  }
}

TEST(Jpeg, FourComponentsAreUnsupported) {
  EXPECT_EQ(failure(make_jpeg(8, 8, 4, false, std::vector<std::uint8_t>(256, 9))), ErrorCode::kUnsupported);
}

class TiffKinds : public testing::TestWithParam<TiffKind> {};

TEST_P(TiffKinds, ComeBackExactly) {
  const TiffKind kind = GetParam();
  const auto value = [&](int y, int x, int c) { return (y * 31 + x * 7 + c * 50) % 256 * (kind.bits == 16 ? 251 : 1); };
  const std::string file = make_tiff(kind, 35, 43, value);
  const DecodedImage back = decode_image(bytes_of(file), "test");
  const auto labels = decode_labels(bytes_of(file), "test");
  const double unit = kind.bits == 16 ? 257.0 : 1.0;
  EXPECT_EQ(back.bit_depth, kind.bits);
  for (int y = 0; y < 35; ++y) {
    for (int x = 0; x < 43; ++x) {
      double expected = value(y, x, 0) / unit;
      int label = value(y, x, 0);
      if (kind.photometric == PHOTOMETRIC_MINISWHITE || kind.colour_map) expected = 255 - expected;
      if (kind.photometric == PHOTOMETRIC_MINISWHITE) label = 255 - label;
      if (kind.channels == 3) {
        expected = (0.299 * value(y, x, 0) + 0.587 * value(y, x, 1) + 0.114 * value(y, x, 2)) / unit;
        label = std::max({label, value(y, x, 1), value(y, x, 2)});
      }
      ASSERT_NEAR(back.grey.at(y, x), expected, 1e-3) << y << " " << x;
      ASSERT_EQ(labels.at(y, x), label);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TiffKinds,
    testing::Values(TiffKind{}, TiffKind{.bits = 16}, TiffKind{.bits = 16, .mode = "wb"},
                    TiffKind{.compression = COMPRESSION_LZW}, TiffKind{.compression = COMPRESSION_ADOBE_DEFLATE},
                    TiffKind{.compression = COMPRESSION_PACKBITS}, TiffKind{.photometric = PHOTOMETRIC_MINISWHITE},
                    TiffKind{.tile = 16}, TiffKind{.bits = 16, .tile = 32}, TiffKind{.mode = "w8"},
                    TiffKind{.channels = 3, .photometric = PHOTOMETRIC_RGB},
                    TiffKind{.channels = 3, .photometric = PHOTOMETRIC_RGB, .tile = 16},
                    TiffKind{.channels = 3, .photometric = PHOTOMETRIC_RGB, .planar = PLANARCONFIG_SEPARATE},
                    TiffKind{.photometric = PHOTOMETRIC_PALETTE, .colour_map = true}));

TEST(Tiff, OtherKindsAreUnsupported) {
  const auto value = [](int, int, int) { return 1; };
  EXPECT_EQ(failure(make_tiff({.bits = 16, .format = SAMPLEFORMAT_INT}, 4, 4, value)), ErrorCode::kUnsupported);
  EXPECT_EQ(failure(make_tiff({.channels = 4, .photometric = PHOTOMETRIC_SEPARATED}, 4, 4, value)),
            ErrorCode::kUnsupported);
  EXPECT_EQ(failure(make_tiff({.bits = 16, .photometric = PHOTOMETRIC_PALETTE, .colour_map = true}, 4, 4, value)),
            ErrorCode::kUnsupported);
}

TEST(Bmp, ReadsPaletteAndColour) {
  const std::string palette = std::string("\0\0\0\0\x0a\x14\x1e\0", 8);  // black; red 30, green 20, blue 10
  const std::string indexed = make_bmp(2, 3, 1, palette, std::string("\x40\0\0\0\xa0\0\0\0", 8));
  EXPECT_THAT(labels_of(indexed), testing::ElementsAre(1, 0, 1, 0, 1, 0));  // bottom row first
  EXPECT_NEAR(decode_image(bytes_of(indexed), "test").grey.at(0, 0), luma({30, 20, 10}), 1e-4);
  const std::string colour = make_bmp(-1, 1, 24, "", std::string("\x0a\x14\x1e\0", 4));
  EXPECT_NEAR(decode_image(bytes_of(colour), "test").grey.at(0, 0), luma({30, 20, 10}), 1e-4);
}

TEST(Pnm, ReadsPlainAndRaw) {
  EXPECT_THAT(grey_of("P2\n# made by hand\n3 1\n255\n0 # zero\n7 255"), testing::ElementsAre(0, 7, 255));
  EXPECT_THAT(grey_of("P2 2 1 51 0 51"), testing::ElementsAre(0, 255));
  EXPECT_THAT(grey_of("P5 2 1 255\nAB"), testing::ElementsAre(65, 66));
  EXPECT_THAT(grey_of("P5 1 1 65535\n\x12\x34"), testing::ElementsAre(testing::FloatEq(0x1234 / 257.0F)));
  EXPECT_NEAR(grey_of("P6 1 1 255\nABC")[0], luma({65, 66, 67}), 1e-4);
  EXPECT_NEAR(grey_of("P3 1 1 255 65 66 67")[0], luma({65, 66, 67}), 1e-4);
}

TEST(Pnm, RefusesBadHeaders) {
  EXPECT_EQ(failure("P5 99999999999999999999 1 255\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(failure("P5 32769 1 255\n"), ErrorCode::kUnsupported);
  EXPECT_EQ(failure("P5 32768 32768 255\n"), ErrorCode::kUnsupported);
  EXPECT_EQ(failure("P5 0 1 255\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(failure("P5 1 1 0\n1"), ErrorCode::kCorrupt);
  EXPECT_EQ(failure("P2 1 1 9 10"), ErrorCode::kCorrupt);
}

TEST(Damage, TruncatedFilesAreCorrupt) {
  for (const auto& [name, file] : one_of_each()) {
    SCOPED_TRACE(name);
    ASSERT_NO_THROW(decode_image(bytes_of(file), "test"));
    for (std::size_t part = 0; part < 20; ++part) {
      SCOPED_TRACE(part);
      EXPECT_EQ(failure(file.substr(0, file.size() * part / 20)), ErrorCode::kCorrupt);
    }
  }
}

TEST(Damage, FlippedBytesNeverDoMoreThanThrowError) {
  for (const auto& [name, file] : one_of_each()) {
    SCOPED_TRACE(name);
    Rng rng(3);
    for (int i = 0; i < 500; ++i) {
      std::string damaged = file;
      for (std::uint64_t k = 0; k <= rng.below(4); ++k) {
        // Half of the hits go to the first 64 bytes, where the headers are.
        const std::size_t at = rng.below(rng.bernoulli(0.5) ? std::min<std::size_t>(64, file.size()) : file.size());
        damaged[at] = static_cast<char>(rng.below(256));
      }
      try {
        const DecodedImage image = decode_image(bytes_of(damaged), "test");
        EXPECT_LE(image.grey.size(), static_cast<std::size_t>(kMaxArea));
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
      }
    }
  }
}

TEST(ReadImage, NamesThePathInErrors) {
  const ScratchFolder folder;
  write_file_atomic(folder / "bad.png", std::string_view("no picture at all"));
  try {
    read_image(folder / "bad.png");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_THAT(error.what(), testing::HasSubstr("bad.png"));
  }
  EXPECT_THROW(read_image(folder / "absent.png"), Error);
}

TEST(IsImageFile, LooksAtTheEnding) {
  for (const char* name : {"a.png", "a.JPG", "a.jpeg", "b.c.Tif", "a.tiff", "a.bmp", "a.pgm", "a.ppm"}) {
    EXPECT_TRUE(is_image_file(name)) << name;
  }
  for (const char* name : {"png", "a.txt", "a.png.json", "a", ""}) EXPECT_FALSE(is_image_file(name)) << name;
}

TEST(RealData, AngiogramsAndMasksAreRead) {
  const std::filesystem::path root = CMUNET_SHARED_DATA;
  if (!std::filesystem::is_directory(root)) GTEST_SKIP() << "no data at " << root;
  int read = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!is_image_file(entry.path()) || read >= 20) continue;
    const DecodedImage image = read_image(entry.path());
    EXPECT_GE(image.grey.height(), 64) << entry.path();
    EXPECT_GE(image.grey.width(), 64) << entry.path();
    ++read;
  }
  if (read == 0) GTEST_SKIP() << "no pictures at " << root;
}

}  // namespace
}  // namespace cmunet::codec
