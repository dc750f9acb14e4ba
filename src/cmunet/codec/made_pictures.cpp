// SPDX-License-Identifier: Apache-2.0
#include "cmunet/codec/made_pictures.h"

#include <tiffio.h>

// jpeglib.h uses FILE and size_t without including what declares them.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <cstdlib>
#include <cstring>

#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet::codec {

std::string make_jpeg(int height, int width, int components, bool progressive,
                      const std::vector<std::uint8_t>& pixels) {
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr error = {};
  jpeg.err = jpeg_std_error(&error);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &buffer, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = components;
  jpeg.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<std::uint8_t> copy = pixels;
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = copy.data() + jpeg.next_scanline * static_cast<std::size_t>(width * components);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string out(reinterpret_cast<char*>(buffer), size);
  std::free(buffer);
  return out;
}

std::string make_tiff(const TiffKind& kind, int height, int width,
                      const std::function<int(int y, int x, int c)>& value) {
  const ScratchFolder folder;
  const std::string path = (folder / "picture.tif").string();
  TIFF* tiff = TIFFOpen(path.c_str(), kind.mode);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, kind.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, kind.channels);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, kind.photometric);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, kind.compression);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, kind.planar);
  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, kind.format);
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, kind.orientation);
  std::vector<std::uint16_t> ramp(std::size_t{1} << kind.bits);
  for (std::size_t i = 0; i < ramp.size(); ++i) {
    ramp[i] = static_cast<std::uint16_t>((ramp.size() - 1 - i) * (65535 / (ramp.size() - 1)));
  }
  if (kind.colour_map) TIFFSetField(tiff, TIFFTAG_COLORMAP, ramp.data(), ramp.data(), ramp.data());
  const bool separate = kind.planar == PLANARCONFIG_SEPARATE;
  const int planes = separate ? kind.channels : 1;
  const int inner = separate ? 1 : kind.channels;
  const int bytes = kind.bits / 8;
  const auto pack = [&](int plane, int top, int left, int rows, int columns) {
    std::vector<std::uint8_t> out(static_cast<std::size_t>(rows * columns * inner * bytes));
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) {
        for (int c = 0; c < inner; ++c) {
          const auto v = static_cast<std::uint16_t>(value(top + y, left + x, separate ? plane : c));
          const auto at = static_cast<std::size_t>(((y * columns + x) * inner + c) * bytes);
          std::memcpy(out.data() + at, &v, static_cast<std::size_t>(bytes));
        }
      }
    }
    return out;
  };
  if (kind.tile > 0) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, kind.tile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, kind.tile);
  }
  for (int plane = 0; plane < planes; ++plane) {
    const int step = kind.tile > 0 ? kind.tile : 1;
    for (int y = 0; y < height; y += step) {
      for (int x = 0; x < (kind.tile > 0 ? width : 1); x += step) {
        auto block = pack(plane, y, x, step, kind.tile > 0 ? step : width);
        if (kind.tile > 0) {
          TIFFWriteTile(tiff, block.data(), static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 0,
                        static_cast<std::uint16_t>(plane));
        } else {
          TIFFWriteScanline(tiff, block.data(), static_cast<std::uint32_t>(y), static_cast<std::uint16_t>(plane));
        }
      }
    }
  }
  TIFFClose(tiff);
  return read_file(path);
}

}  // namespace cmunet::codec
