// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/rle.h"

#include <algorithm>

#include "cmunet/base/error.h"

namespace cmunet::dicom {
namespace {

constexpr std::size_t kHeaderBytes = 64;

std::size_t word(std::span<const std::uint8_t> bytes, std::size_t index) {
  const std::uint8_t* p = bytes.data() + 4 * index;
  return p[0] | std::size_t{p[1]} << 8 | std::size_t{p[2]} << 16 | std::size_t{p[3]} << 24;
}

// PackBits: n < 128 copies n + 1 bytes, n > 128 repeats the next one 257 - n times, 128 is nothing. Each decoded byte
// goes `step` behind the one before. False when the segment ends too early; what follows the last pixel is padding.
bool unpack(std::span<const std::uint8_t> segment, std::size_t count, std::uint8_t* out, std::size_t step) {
  std::size_t at = 0, done = 0;
  while (done < count) {
    if (at >= segment.size()) return false;
    const std::size_t n = segment[at++];
    if (n == 128) continue;
    const bool is_run = n > 128;
    const std::size_t length = std::min(is_run ? 257 - n : n + 1, count - done);
    if (segment.size() - at < (is_run ? 1 : length)) return false;
    for (std::size_t i = 0; i < length; ++i) out[(done + i) * step] = segment[is_run ? at : at + i];
    at += is_run ? 1 : length;
    done += length;
  }
  return true;
}

}  // namespace

std::vector<std::uint8_t> decode_rle(std::span<const std::uint8_t> bytes, std::size_t pixels, int samples,
                                     int bytes_per_cell) {
  const auto cell = static_cast<std::size_t>(bytes_per_cell);
  const std::size_t segments = cell * static_cast<std::size_t>(samples);
  const std::size_t found = bytes.size() < kHeaderBytes ? 0 : word(bytes, 0);
  CMUNET_CHECK(found == segments, ErrorCode::kCorrupt, "[dicom] an RLE frame cannot be decoded: it has ", found,
               " segments; expected ", segments);
  std::vector<std::uint8_t> cells(pixels * segments);
  for (std::size_t s = 0; s < segments; ++s) {
    const std::size_t begin = word(bytes, 1 + s), end = s + 1 < segments ? word(bytes, 2 + s) : bytes.size();
    const bool is_inside = begin >= kHeaderBytes && begin <= end && end <= bytes.size();
    // Segments hold the most significant byte of each sample first.
    const std::size_t byte = s / cell * cell + (cell - 1 - s % cell);
    CMUNET_CHECK(is_inside && unpack(bytes.subspan(begin, end - begin), pixels, cells.data() + byte, segments),
                 ErrorCode::kCorrupt, "[dicom] an RLE frame cannot be decoded: segment ", s + 1, " of ", segments,
                 " lies outside the frame or ends too early");
  }
  return cells;
}

}  // namespace cmunet::dicom
