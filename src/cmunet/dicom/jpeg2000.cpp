// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/jpeg2000.h"

#include <openjpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "cmunet/base/error.h"

namespace cmunet::dicom {
namespace {

struct Memory {
  std::span<const std::uint8_t> bytes;
  std::size_t at = 0;
};

OPJ_SIZE_T read_memory(void* buffer, OPJ_SIZE_T size, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  const std::size_t count = std::min<std::size_t>(size, memory.bytes.size() - memory.at);
  if (count == 0) return static_cast<OPJ_SIZE_T>(-1);  // OpenJPEG's end of stream
  std::memcpy(buffer, memory.bytes.data() + memory.at, count);
  memory.at += count;
  return count;
}

OPJ_OFF_T skip_memory(OPJ_OFF_T size, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  const auto left = static_cast<OPJ_OFF_T>(memory.bytes.size() - memory.at);
  if (size < 0 || left == 0) return -1;
  const OPJ_OFF_T count = std::min(size, left);
  memory.at += static_cast<std::size_t>(count);
  return count;
}

OPJ_BOOL seek_memory(OPJ_OFF_T position, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (position < 0 || static_cast<std::uint64_t>(position) > memory.bytes.size()) return OPJ_FALSE;
  memory.at = static_cast<std::size_t>(position);
  return OPJ_TRUE;
}

using Codec = std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)>;
using Stream = std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)>;
using Picture = std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)>;

Stream make_stream(Memory& memory) {
  Stream stream(opj_stream_create(1 << 16, OPJ_TRUE), &opj_stream_destroy);
  CMUNET_CHECK(stream, ErrorCode::kOutOfMemory, "[dicom] no memory for a JPEG 2000 stream");
  opj_stream_set_user_data(stream.get(), &memory, nullptr);
  opj_stream_set_user_data_length(stream.get(), memory.bytes.size());
  opj_stream_set_read_function(stream.get(), read_memory);
  opj_stream_set_skip_function(stream.get(), skip_memory);
  opj_stream_set_seek_function(stream.get(), seek_memory);
  return stream;
}

// Image and tile size (SIZ, ISO 15444-1 A.5.1). OpenJPEG keeps some kilobytes for each tile and component that a header
// claims, so they are counted before it sees them.
struct Siz {
  std::span<const std::uint8_t> bytes;  ///< from the marker on
  std::int64_t number(std::size_t at, int size) const {
    std::int64_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | bytes[at + static_cast<std::size_t>(i)];
    return value;
  }
  std::int64_t extent(std::size_t axis) const { return number(6 + axis, 4) - number(14 + axis, 4); }
  std::int64_t tiles(std::size_t axis) const {
    const std::int64_t tile = number(22 + axis, 4), length = number(6 + axis, 4) - number(30 + axis, 4);
    return tile < 1 ? 0 : (length + tile - 1) / tile;
  }
  std::int64_t components() const { return number(38, 2); }
};

constexpr std::uint8_t kBegin[] = {0xff, 0x4f, 0xff, 0x51};  // SOC, SIZ

// Where the code stream begins, within the bytes that boxes may take; their end when it does not.
std::size_t begin_of_codestream(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kMaxBoxes = 4096;
  const auto boxes = bytes.first(std::min(bytes.size(), kMaxBoxes));
  const auto at = std::search(boxes.begin(), boxes.end(), std::begin(kBegin), std::end(kBegin)) - boxes.begin();
  return static_cast<std::size_t>(at);
}

// Some devices wrap the code stream into a JP2 file, which DICOM does not allow but every viewer reads. Only what lies
// within is decoded.
std::span<const std::uint8_t> codestream_in(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kSizBytes = 42;
  const auto stream = bytes.subspan(begin_of_codestream(bytes));
  CMUNET_CHECK(stream.size() >= kSizBytes && std::ranges::equal(stream.first(4), kBegin), ErrorCode::kCorrupt,
               "[dicom] a frame does not begin as JPEG 2000");
  return stream;
}

void check_header(std::span<const std::uint8_t> stream, int height, int width, int samples) {
  constexpr std::int64_t kMaxTiles = 1024;
  const Siz siz{stream.subspan(2)};
  CMUNET_CHECK(siz.extent(0) == width && siz.extent(4) == height && siz.components() == samples, ErrorCode::kCorrupt,
               "[dicom] a JPEG 2000 frame is ", siz.extent(4), "x", siz.extent(0), " with ", siz.components(),
               " component(s); the header says ", height, "x", width, " with ", samples);
  const std::int64_t across = siz.tiles(0), down = siz.tiles(4);
  const bool is_tiled_well = across >= 1 && down >= 1 && across <= kMaxTiles && down <= kMaxTiles / across;
  CMUNET_CHECK(is_tiled_well, ErrorCode::kUnsupported, "[dicom] a JPEG 2000 frame has ", down, "x", across,
               " tiles; expected 1 to ", kMaxTiles);
}

void check_size(const opj_image_t& picture, int height, int width, int samples) {
  bool matches = picture.numcomps == static_cast<OPJ_UINT32>(samples) && picture.comps != nullptr;
  for (OPJ_UINT32 c = 0; matches && c < picture.numcomps; ++c) {
    const opj_image_comp_t& comp = picture.comps[c];
    matches = comp.w == static_cast<OPJ_UINT32>(width) && comp.h == static_cast<OPJ_UINT32>(height) && comp.prec >= 1 &&
              comp.prec <= 16;
  }
  CMUNET_CHECK(matches, ErrorCode::kCorrupt, "[dicom] the JPEG 2000 frame is not ", height, "x", width, " with ",
               samples, " component(s) of at most 16 bits, as the header says");
}

}  // namespace

bool is_wrapped_jpeg2000(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kSignature[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};  // ISO 15444-1 I.5.1
  if (bytes.size() >= sizeof kSignature && std::ranges::equal(bytes.first(sizeof kSignature), kSignature)) return true;
  const auto stream = bytes.subspan(begin_of_codestream(bytes));
  return stream.size() < bytes.size() && stream.size() >= sizeof kBegin &&
         std::ranges::equal(stream.first(sizeof kBegin), kBegin);
}

std::vector<std::int32_t> decode_jpeg2000(std::span<const std::uint8_t> bytes, int height, int width, int samples) {
  Memory memory{codestream_in(bytes)};
  check_header(memory.bytes, height, width, samples);
  const Codec codec(opj_create_decompress(OPJ_CODEC_J2K), &opj_destroy_codec);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  const Stream stream = make_stream(memory);
  opj_image_t* raw = nullptr;
  const bool begun = codec && opj_setup_decoder(codec.get(), &parameters) == OPJ_TRUE &&
                     opj_read_header(stream.get(), codec.get(), &raw) == OPJ_TRUE;
  const Picture picture(raw, &opj_image_destroy);
  CMUNET_CHECK(begun && picture, ErrorCode::kCorrupt, "[dicom] a frame does not begin as JPEG 2000");
  check_size(*picture, height, width, samples);
  const bool done = opj_decode(codec.get(), stream.get(), picture.get()) == OPJ_TRUE &&
                    opj_end_decompress(codec.get(), stream.get()) == OPJ_TRUE;
  CMUNET_CHECK(done, ErrorCode::kCorrupt, "[dicom] a JPEG 2000 frame is damaged or cut off");
  check_size(*picture, height, width, samples);
  const std::size_t pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  const auto count = static_cast<std::size_t>(samples);
  std::vector<std::int32_t> values(pixels * count);
  for (std::size_t c = 0; c < count; ++c) {
    const OPJ_INT32* plane = picture->comps[c].data;
    CMUNET_CHECK(plane != nullptr, ErrorCode::kCorrupt, "[dicom] a JPEG 2000 frame has no pixels");
    for (std::size_t i = 0; i < pixels; ++i) values[i * count + c] = plane[i];
  }
  return values;
}

}  // namespace cmunet::dicom
