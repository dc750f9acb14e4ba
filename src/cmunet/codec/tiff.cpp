// SPDX-License-Identifier: Apache-2.0
// TIFF through libtiff, from memory. Errors and warnings go to handlers of the one open file, not to the process's.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cmunet/base/log.h"
#include "cmunet/codec/raster.h"

namespace cmunet::codec {
namespace {

constexpr tmsize_t kMaxLibraryBytes = tmsize_t{1} << 30;

struct Source {
  std::span<const std::byte> bytes;
  std::uint64_t position = 0;
  char message[256] = {};
};

Source& source_of(thandle_t handle) { return *static_cast<Source*>(handle); }

tmsize_t read_source(thandle_t handle, void* out, tmsize_t count) {
  Source& source = source_of(handle);
  const std::uint64_t left = source.bytes.size() - std::min<std::uint64_t>(source.position, source.bytes.size());
  const std::uint64_t taken = std::min<std::uint64_t>(left, static_cast<std::uint64_t>(std::max<tmsize_t>(count, 0)));
  if (taken > 0) std::memcpy(out, source.bytes.data() + source.position, taken);
  source.position += taken;
  return static_cast<tmsize_t>(taken);
}

tmsize_t refuse_write(thandle_t, void*, tmsize_t) { return 0; }

toff_t seek_source(thandle_t handle, toff_t offset, int whence) {
  Source& source = source_of(handle);
  const std::uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source.position : source.bytes.size();
  source.position = base + offset;  // unsigned wrap-around gives negative offsets their meaning
  return source.position;
}

int close_source(thandle_t) { return 0; }
toff_t source_size(thandle_t handle) { return source_of(handle).bytes.size(); }
int map_source(thandle_t, void**, toff_t*) { return 0; }
void unmap_source(thandle_t, void*, toff_t) {}

int keep_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  Source& source = *static_cast<Source*>(user);
  if (source.message[0] == '\0') std::vsnprintf(source.message, sizeof source.message, format, arguments);
  return 1;  // handled: not passed on to the process-wide handler
}

int ignore_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct TiffCloser {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using TiffPtr = std::unique_ptr<TIFF, TiffCloser>;

TiffPtr open_tiff(Source& source) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  CMUNET_CHECK(options != nullptr, ErrorCode::kOutOfMemory, "[tiff] no memory for the decoder");
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMaxLibraryBytes);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore_warning, nullptr);
  return TiffPtr(TIFFClientOpenExt("memory", "rm", &source, read_source, refuse_write, seek_source, close_source,
                                   source_size, map_source, unmap_source, options.get()));
}

template <typename T>
T tag(TIFF* tiff, std::uint32_t name, T otherwise) {
  T value = otherwise;
  return TIFFGetFieldDefaulted(tiff, name, &value) == 1 ? value : otherwise;
}

/// What the tags say: the shape of the raster and whether the channels lie in separate planes.
struct Layout {
  Raster raster;
  bool separate = false;
};

void read_palette(TIFF* tiff, Raster& raster, const std::string& origin) {
  std::uint16_t* red = nullptr;
  std::uint16_t* green = nullptr;
  std::uint16_t* blue = nullptr;
  if (raster.bit_depth > 8) {
    throw_unsupported(origin, concat("a palette TIFF of ", raster.bit_depth, " bits; at most 8 are read"));
  }
  if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue) != 1) {
    throw_corrupt(origin, "a palette TIFF without a usable palette");
  }
  const std::size_t count = std::size_t{1} << raster.bit_depth;
  const bool wide = std::any_of(red, red + count, [](auto v) { return v > 255; }) ||
                    std::any_of(green, green + count, [](auto v) { return v > 255; }) ||
                    std::any_of(blue, blue + count, [](auto v) { return v > 255; });
  const int shift = wide ? 8 : 0;  // the standard says 16 bits; some writers store 8
  const auto to_byte = [shift](std::uint16_t v) { return static_cast<std::uint8_t>(v >> shift); };
  for (std::size_t i = 0; i < count; ++i)
    raster.palette.push_back({to_byte(red[i]), to_byte(green[i]), to_byte(blue[i])});
}

Layout read_layout(TIFF* tiff, const std::string& origin) {
  Layout layout;
  Raster& raster = layout.raster;
  const auto width = tag<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH, 0);
  const auto height = tag<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH, 0);
  check_size(height, width, origin);
  raster.height = static_cast<int>(height);
  raster.width = static_cast<int>(width);
  raster.channels = tag<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  raster.bit_depth = tag<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  const int format = tag<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  const int bits = raster.bit_depth;
  if ((bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16) ||
      (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)) {
    throw_unsupported(origin, concat("a TIFF of ", bits, " bits and sample format ", format,
                                     "; unsigned whole numbers of 1, 2, 4, 8 and 16 bits are read"));
  }
  raster.max_value = (1 << bits) - 1;
  layout.separate = tag<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE &&
                    raster.channels > 1;
  const int compression = tag<std::uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (compression == COMPRESSION_OJPEG) throw_unsupported(origin, "a TIFF of the withdrawn JPEG kind (6)");
  int meaning = tag<std::uint16_t>(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
  if (meaning == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG && !layout.separate) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    meaning = PHOTOMETRIC_RGB;
  }
  const bool is_grey = meaning == PHOTOMETRIC_MINISBLACK || meaning == PHOTOMETRIC_MINISWHITE;
  const bool is_palette = meaning == PHOTOMETRIC_PALETTE;
  const bool shape_ok = (is_grey && raster.channels >= 1 && raster.channels <= 2) ||
                        (is_palette && raster.channels == 1) ||
                        (meaning == PHOTOMETRIC_RGB && raster.channels >= 3 && raster.channels <= 4);
  if (!shape_ok) {
    throw_unsupported(origin, concat("a TIFF of ", raster.channels, " channels and colour meaning ", meaning,
                                     "; grey, palette and RGB are read"));
  }
  raster.white_is_zero = meaning == PHOTOMETRIC_MINISWHITE;
  if (is_palette) read_palette(tiff, raster, origin);
  warn_of_orientation(tag<std::uint16_t>(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT), "TIFF Orientation", origin);
  return layout;
}

/// Samples of one decoded line; libtiff has put 16-bit values in the machine's byte order.
void unpack_line(std::vector<std::uint16_t>& samples, const std::uint8_t* line, std::size_t count, int bits) {
  if (bits < 16) return append_packed_row(samples, line, count, bits);
  const std::size_t before = samples.size();
  samples.resize(before + count);
  std::memcpy(samples.data() + before, line, 2 * count);
}

/// Reads the strips of plane `plane`, `channels` interleaved samples per pixel. False on an error.
bool read_lines(TIFF* tiff, const Raster& raster, int plane, int channels, std::vector<std::uint16_t>& samples) {
  const std::size_t count = static_cast<std::size_t>(raster.width) * static_cast<std::size_t>(channels);
  const tmsize_t line_bytes = TIFFScanlineSize(tiff);
  if (line_bytes <= 0 ||
      static_cast<std::size_t>(line_bytes) < (count * static_cast<std::size_t>(raster.bit_depth) + 7) / 8) {
    return false;
  }
  std::vector<std::uint8_t> line(static_cast<std::size_t>(line_bytes));
  for (int y = 0; y < raster.height; ++y) {
    if (TIFFReadScanline(tiff, line.data(), static_cast<std::uint32_t>(y), static_cast<std::uint16_t>(plane)) != 1) {
      return false;
    }
    unpack_line(samples, line.data(), count, raster.bit_depth);
  }
  return true;
}

/// Reads the tiles of plane `plane`. False on an error.
bool read_tiles(TIFF* tiff, const Raster& raster, int plane, int channels, std::vector<std::uint16_t>& samples) {
  const auto tile_width = std::int64_t{tag<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH, 0)};
  const auto tile_height = std::int64_t{tag<std::uint32_t>(tiff, TIFFTAG_TILELENGTH, 0)};
  const std::int64_t tile_bytes = TIFFTileSize(tiff);
  const std::int64_t row_bytes = TIFFTileRowSize(tiff);
  constexpr std::int64_t kMaxTileArea = std::int64_t{1} << 24;
  if (tile_width <= 0 || tile_height <= 0 || tile_width > kMaxSide || tile_height > kMaxSide ||
      tile_width * tile_height > kMaxTileArea || row_bytes * 8 < tile_width * channels * raster.bit_depth ||
      tile_bytes < row_bytes * tile_height) {
    return false;
  }
  const auto row_samples = static_cast<std::size_t>(raster.width) * static_cast<std::size_t>(channels);
  std::vector<std::uint8_t> tile(static_cast<std::size_t>(tile_bytes));
  std::vector<std::uint16_t> line;
  for (std::int64_t top = 0; top < raster.height; top += tile_height) {
    const std::int64_t rows = std::min(tile_height, raster.height - top);
    for (std::int64_t left = 0; left < raster.width; left += tile_width) {
      if (TIFFReadTile(tiff, tile.data(), static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(top), 0,
                       static_cast<std::uint16_t>(plane)) < 0) {
        return false;
      }
      if (left == 0) samples.resize(row_samples * static_cast<std::size_t>(top + rows));  // not before a tile is there
      const auto count = static_cast<std::size_t>(std::min(tile_width, raster.width - left) * channels);
      for (std::int64_t y = 0; y < rows; ++y) {
        line.clear();
        unpack_line(line, tile.data() + y * row_bytes, count, raster.bit_depth);
        const std::size_t to =
            row_samples * static_cast<std::size_t>(top + y) + static_cast<std::size_t>(left * channels);
        std::copy(line.begin(), line.end(), samples.begin() + static_cast<std::ptrdiff_t>(to));
      }
    }
  }
  return true;
}

bool read_plane(TIFF* tiff, const Raster& raster, int plane, int channels, std::vector<std::uint16_t>& samples) {
  const auto read = TIFFIsTiled(tiff) != 0 ? read_tiles : read_lines;
  return read(tiff, raster, plane, channels, samples);
}

}  // namespace

Raster decode_tiff(std::span<const std::byte> bytes, const std::string& origin) {
  Source source{bytes};
  const TiffPtr tiff = open_tiff(source);
  const auto require = [&](bool done) {
    if (!done)
      throw_corrupt(origin, concat("not a whole TIFF: ", source.message[0] != '\0' ? source.message : "bad tags"));
  };
  require(tiff != nullptr);
  Layout layout = read_layout(tiff.get(), origin);
  Raster& raster = layout.raster;
  if (TIFFLastDirectory(tiff.get()) == 0) log_warning("[", origin, "] a TIFF of several pages; the first page is read");
  if (!layout.separate) {
    require(read_plane(tiff.get(), raster, 0, raster.channels, raster.samples));
    return std::move(raster);
  }
  const auto channels = static_cast<std::size_t>(raster.channels);
  for (std::size_t plane = 0; plane < channels; ++plane) {
    std::vector<std::uint16_t> samples;
    require(read_plane(tiff.get(), raster, static_cast<int>(plane), 1, samples));
    raster.samples.resize(samples.size() * channels);
    for (std::size_t i = 0; i < samples.size(); ++i) raster.samples[i * channels + plane] = samples[i];
  }
  return std::move(raster);
}

}  // namespace cmunet::codec
