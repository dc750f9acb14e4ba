// SPDX-License-Identifier: Apache-2.0
// libpng reports errors by longjmp, which skips destructors. So everything that owns memory lives in a struct outside,
// and between setjmp and the library's calls stand only functions without such locals (`guarded` and its steps).
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string_view>

#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/codec/raster.h"

namespace cmunet::codec {
namespace {

constexpr std::size_t kMessageBytes = 160;

void keep_message(png_structp png, png_const_charp text) {
  char* message = static_cast<char*>(png_get_error_ptr(png));
  std::strncpy(message, text, kMessageBytes - 1);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

template <typename State>
bool guarded(State& state, void (*step)(State&)) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  step(state);
  return true;
}

struct Reader {
  char message[kMessageBytes] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  png_uint_32 height = 0;
  png_uint_32 width = 0;
  int bits = 0;
  int colour = 0;
  int interlace = 0;
  png_colorp colours = nullptr;
  int colour_count = 0;
  std::vector<std::uint8_t> pixels;  // one row, or the whole picture when interlaced
  std::vector<png_bytep> rows;       // only when interlaced

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto& rest = *static_cast<std::span<const std::byte>*>(png_get_io_ptr(png));
  if (count > rest.size()) png_error(png, "the file ends too early");
  std::memcpy(out, rest.data(), count);
  rest = rest.subspan(count);
}

void read_header(Reader& r) {
  png_set_read_fn(r.png, &r.rest, read_bytes);
  png_set_crc_action(r.png, PNG_CRC_DEFAULT, PNG_CRC_ERROR_QUIT);  // damage in a comment is damage to the file
  png_set_user_limits(r.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);    // ours are checked afterwards, with a better message
  png_read_info(r.png, r.info);
  png_get_IHDR(r.png, r.info, &r.width, &r.height, &r.bits, &r.colour, &r.interlace, nullptr, nullptr);
  if (r.colour == PNG_COLOR_TYPE_PALETTE) png_get_PLTE(r.png, r.info, &r.colours, &r.colour_count);
}

/// Takes the memory of a row, so the size must have been checked.
void start_rows(Reader& r) {
  if (r.interlace != PNG_INTERLACE_NONE) png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
}

void read_row(Reader& r) { png_read_row(r.png, r.pixels.data(), nullptr); }
void read_all_rows(Reader& r) { png_read_image(r.png, r.rows.data()); }
void read_trailer(Reader& r) { png_read_end(r.png, nullptr); }

int channel_count(int colour) {
  switch (colour) {
    case PNG_COLOR_TYPE_GRAY_ALPHA: return 2;
    case PNG_COLOR_TYPE_RGB: return 3;
    case PNG_COLOR_TYPE_RGB_ALPHA: return 4;
    default: return 1;
  }
}

Raster describe_raster(const Reader& reader, const std::string& origin) {
  Raster raster;
  check_size(reader.height, reader.width, origin);
  raster.height = static_cast<int>(reader.height);
  raster.width = static_cast<int>(reader.width);
  raster.channels = channel_count(reader.colour);
  raster.bit_depth = reader.bits;
  raster.max_value = (1 << reader.bits) - 1;
  for (int i = 0; i < reader.colour_count; ++i) {
    raster.palette.push_back({reader.colours[i].red, reader.colours[i].green, reader.colours[i].blue});
  }
  return raster;
}

struct Writer {
  char message[kMessageBytes] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;
  int height = 0;
  int width = 0;
  int colour = 0;
  const std::uint8_t* pixels = nullptr;
  std::string out;

  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

bool append(std::string& out, png_bytep bytes, std::size_t count) noexcept {
  try {
    out.append(reinterpret_cast<const char*>(bytes), count);
    return true;
  } catch (...) {  // an exception must not pass through the library's C frames
    return false;
  }
}

void append_bytes(png_structp png, png_bytep bytes, std::size_t count) {
  if (!append(*static_cast<std::string*>(png_get_io_ptr(png)), bytes, count)) png_error(png, "out of memory");
}

// PNG's keyword for this, in a chunk that viewers may show and decoders skip.
void put_disclaimer(Writer& w) {
  png_text text{};
  text.compression = PNG_TEXT_COMPRESSION_NONE;
  text.key = const_cast<png_charp>("Disclaimer");  // libpng copies both
  text.text = const_cast<png_charp>(kDisclaimer);
  png_set_text(w.png, w.info, &text, 1);
}

void write_picture(Writer& w) {
  png_set_write_fn(w.png, &w.out, append_bytes, nullptr);
  png_set_IHDR(w.png, w.info, static_cast<png_uint_32>(w.width), static_cast<png_uint_32>(w.height), 8, w.colour,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  put_disclaimer(w);
  png_write_info(w.png, w.info);
  const std::size_t stride = static_cast<std::size_t>(w.width) * (w.colour == PNG_COLOR_TYPE_RGB ? 3 : 1);
  for (int y = 0; y < w.height; ++y) png_write_row(w.png, w.pixels + static_cast<std::size_t>(y) * stride);
  png_write_end(w.png, w.info);
}

std::string encode(int height, int width, int colour, const std::uint8_t* pixels) {
  CMUNET_CHECK(height > 0 && width > 0, ErrorCode::kInvalidArgument, "[png] the image is ", height, "x", width,
               "; it must have pixels");
  Writer writer;
  writer.height = height;
  writer.width = width;
  writer.colour = colour;
  writer.pixels = pixels;
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, writer.message, keep_message, ignore_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  CMUNET_CHECK(writer.info != nullptr, ErrorCode::kOutOfMemory, "[png] no memory for the encoder");
  CMUNET_CHECK(guarded(writer, write_picture), ErrorCode::kInternal, "[png] encoding ", height, "x", width,
               " failed: ", writer.message);
  return std::move(writer.out);
}

}  // namespace

Raster decode_png(std::span<const std::byte> bytes, const std::string& origin) {
  Reader reader;
  reader.rest = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader.message, keep_message, ignore_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  CMUNET_CHECK(reader.info != nullptr, ErrorCode::kOutOfMemory, "[", origin, "] no memory for the PNG decoder");
  const auto require = [&](bool done) {
    if (!done) throw_corrupt(origin, concat("not a whole PNG: ", reader.message));
  };

  require(guarded(reader, read_header));
  Raster raster = describe_raster(reader, origin);
  require(guarded(reader, start_rows));
  const std::size_t stride = png_get_rowbytes(reader.png, reader.info);
  const auto height = static_cast<std::size_t>(raster.height);
  if (reader.interlace == PNG_INTERLACE_NONE) {
    reader.pixels.resize(stride);
    for (std::size_t y = 0; y < height; ++y) {
      require(guarded(reader, read_row));
      append_packed_row(raster.samples, reader.pixels.data(), raster.row_samples(), raster.bit_depth);
    }
  } else {
    // Deflate shrinks at most 1032-fold: a file too small for its picture is refused before the memory is taken.
    if (stride * height / 1032 > bytes.size()) throw_corrupt(origin, "not a whole PNG: too few bytes for its size");
    reader.pixels.resize(stride * height);
    for (std::size_t y = 0; y < height; ++y) reader.rows.push_back(reader.pixels.data() + y * stride);
    require(guarded(reader, read_all_rows));
    for (png_bytep row : reader.rows) {
      append_packed_row(raster.samples, row, raster.row_samples(), raster.bit_depth);
    }
  }
  require(guarded(reader, read_trailer));
  return raster;
}

std::string encode_png(const image::Image<std::uint8_t>& image) {
  return encode(image.height(), image.width(), PNG_COLOR_TYPE_GRAY, image.data());
}

std::string encode_png(const image::ImageRgb& image) {
  static_assert(sizeof(image::Rgb) == 3, "pixels are handed to the encoder as plain bytes");
  return encode(image.height(), image.width(), PNG_COLOR_TYPE_RGB, reinterpret_cast<const std::uint8_t*>(image.data()));
}

void write_png(const std::filesystem::path& path, const image::Image<std::uint8_t>& image) {
  write_file_atomic(path, std::string_view(encode_png(image)));
}

void write_png(const std::filesystem::path& path, const image::ImageRgb& image) {
  write_file_atomic(path, std::string_view(encode_png(image)));
}

}  // namespace cmunet::codec
