// SPDX-License-Identifier: Apache-2.0
// libjpeg reports errors by longjmp; see png.cpp for how memory is kept safe. Its warnings, such as a file that ends
// early, are damage here: a picture that is half grey must not be trained on.

// jpeglib.h uses FILE and size_t without including what declares them.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstring>
#include <string_view>

#include "cmunet/codec/raster.h"

namespace cmunet::codec {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;

struct ErrorState {
  jpeg_error_mgr manager;  // first: the library hands back a pointer to it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

struct Reader {
  jpeg_decompress_struct jpeg = {};
  ErrorState error = {};
  std::span<const std::byte> bytes;
  std::vector<std::uint8_t> row;

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&jpeg); }
};

void leave(j_common_ptr common) {
  auto* error = reinterpret_cast<ErrorState*>(common->err);
  error->manager.format_message(common, error->message);
  std::longjmp(error->jump, 1);
}

void on_message(j_common_ptr common, int level) {
  const int code = common->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  if (level < 0 && !harmless) leave(common);
}

bool guarded(Reader& reader, void (*step)(Reader&)) {
  if (setjmp(reader.error.jump) != 0) return false;
  step(reader);
  return true;
}

void read_header(Reader& r) {
  jpeg_create_decompress(&r.jpeg);
  r.jpeg.mem->max_memory_to_use = 1L << 30;
  jpeg_mem_src(&r.jpeg, reinterpret_cast<const unsigned char*>(r.bytes.data()),
               static_cast<unsigned long>(r.bytes.size()));
  jpeg_save_markers(&r.jpeg, kExifMarker, 0xFFFF);
  jpeg_read_header(&r.jpeg, TRUE);
}

void start(Reader& r) {
  r.jpeg.out_color_space = r.jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&r.jpeg);
}

void read_row(Reader& r) {
  JSAMPROW row = r.row.data();
  jpeg_read_scanlines(&r.jpeg, &row, 1);
}

void finish(Reader& r) { jpeg_finish_decompress(&r.jpeg); }

/// The Orientation in the first directory of an EXIF block, which is a TIFF file behind a name; 0 where there is none.
int exif_orientation(std::span<const std::uint8_t> block) {
  using namespace std::string_view_literals;
  constexpr std::string_view kName = "Exif\0\0"sv;
  constexpr std::uint64_t kOrientationTag = 0x0112, kShort = 3, kEntryBytes = 12;
  if (block.size() < kName.size() || std::memcmp(block.data(), kName.data(), kName.size()) != 0) return 0;
  const auto tiff = block.subspan(kName.size());
  const bool is_little = !tiff.empty() && tiff[0] == 'I';
  // Beyond the block there are zeros, which are no tag's number.
  const auto number = [&](std::uint64_t at, std::uint64_t bytes) {
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < bytes && at + bytes <= tiff.size(); ++i) {
      value = value << 8 | tiff[at + (is_little ? bytes - 1 - i : i)];
    }
    return value;
  };
  const std::uint64_t directory = number(4, 4), entries = number(directory, 2);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t at = directory + 2 + i * kEntryBytes;
    if (number(at, 2) == kOrientationTag) return number(at + 2, 2) == kShort ? static_cast<int>(number(at + 8, 2)) : 0;
  }
  return 0;
}

/// That of the first block which has one.
int exif_orientation(const jpeg_decompress_struct& jpeg) {
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->marker != kExifMarker) continue;
    if (const int orientation = exif_orientation({marker->data, marker->data_length}); orientation != 0) {
      return orientation;
    }
  }
  return 0;
}

}  // namespace

Raster decode_jpeg(std::span<const std::byte> bytes, const std::string& origin) {
  Reader reader;
  reader.bytes = bytes;
  reader.jpeg.err = jpeg_std_error(&reader.error.manager);
  reader.error.manager.error_exit = leave;
  reader.error.manager.emit_message = on_message;
  const auto require = [&](bool done) {
    if (!done) throw_corrupt(origin, concat("not a whole JPEG: ", reader.error.message));
  };

  require(guarded(reader, read_header));
  check_size(reader.jpeg.image_height, reader.jpeg.image_width, origin);
  const int components = reader.jpeg.num_components;
  if (components != 1 && components != 3) {
    throw_unsupported(origin, concat("a JPEG of ", components, " components; grey and RGB are read"));
  }
  // A progressive file is decoded as a whole; even an all-grey one needs some bits for every 64 x 64 samples.
  const std::uint64_t area = std::uint64_t{reader.jpeg.image_height} * reader.jpeg.image_width;
  if (area / 4096 / 8 > bytes.size()) throw_corrupt(origin, "not a whole JPEG: too few bytes for its size");

  warn_of_orientation(exif_orientation(reader.jpeg), "EXIF Orientation", origin);

  Raster raster;
  raster.height = static_cast<int>(reader.jpeg.image_height);
  raster.width = static_cast<int>(reader.jpeg.image_width);
  raster.channels = components;
  require(guarded(reader, start));
  reader.row.resize(raster.row_samples());
  for (int y = 0; y < raster.height; ++y) {
    require(guarded(reader, read_row));
    append_packed_row(raster.samples, reader.row.data(), raster.row_samples(), 8);
  }
  require(guarded(reader, finish));
  return raster;
}

}  // namespace cmunet::codec
