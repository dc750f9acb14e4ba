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

// Some devices wrap the code stream into a JP2 file, which DICOM does not allow but every viewer reads.
OPJ_CODEC_FORMAT container_of(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kJp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
  return std::ranges::equal(bytes.first(std::min(bytes.size(), sizeof kJp2)), kJp2) ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K;
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

std::vector<std::int32_t> decode_jpeg2000(std::span<const std::uint8_t> bytes, int height, int width, int samples) {
  Memory memory{bytes};
  const Codec codec(opj_create_decompress(container_of(bytes)), &opj_destroy_codec);
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
