// SPDX-License-Identifier: Apache-2.0
// Marker segments of JPEG (ISO 10918-1 B) and JPEG-LS (ISO 14495-1 C).
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcuid.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "cmunet/dicom/codestream_comments.h"
#include "cmunet/dicom/frames.h"

namespace cmunet::dicom {
namespace {

constexpr int kSof0 = 0xc0, kSof1 = 0xc1, kSof3 = 0xc3, kSofJpegLs = 0xf7;

// Markers that begin a frame header; C4, C8 and CC mean something else.
bool is_frame_header(int marker) {
  return (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) ||
         marker == kSofJpegLs;
}

// Processes that a transfer syntax allows. Progressive ones (SOF2) do not occur in DICOM's current syntaxes, and their
// many scans are a way to keep a decoder busy.
bool is_allowed(int marker, std::string_view transfer_syntax) {
  if (transfer_syntax == UID_JPEGProcess1TransferSyntax || transfer_syntax == UID_JPEGProcess2_4TransferSyntax) {
    return marker == kSof0 || marker == kSof1;
  }
  if (transfer_syntax == UID_JPEGLSLosslessTransferSyntax || transfer_syntax == UID_JPEGLSLossyTransferSyntax) {
    return marker == kSofJpegLs;
  }
  return marker == kSof3;
}

}  // namespace

CodestreamSize read_codestream_size(std::span<const std::uint8_t> bytes, const std::string& transfer_syntax) {
  const auto word = [&](std::size_t at) { return bytes[at] << 8 | bytes[at + 1]; };
  CMUNET_CHECK(bytes.size() > 4 && word(0) == 0xffd8, ErrorCode::kCorrupt, "[dicom] a frame does not begin as JPEG");
  for (std::size_t at = 2; at + 4 <= bytes.size();) {
    if (bytes[at] != 0xff) break;
    const int marker = bytes[at + 1];
    if (marker == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    const auto length = static_cast<std::size_t>(word(at + 2));
    if (length < 2 || at + 2 + length > bytes.size()) break;
    if (is_frame_header(marker)) {
      if (length < 8) break;
      CMUNET_CHECK(is_allowed(marker, transfer_syntax), ErrorCode::kUnsupported, "[dicom] a frame is compressed by SOF",
                   marker & 0xf, ", which does not belong to transfer syntax ", transfer_syntax);
      return {word(at + 5), word(at + 7), bytes[at + 9], bytes[at + 4]};
    }
    if (marker == 0xda || marker == 0xd9) break;  // scan or end before any frame header
    at += 2 + length;
  }
  throw Error(ErrorCode::kCorrupt, "[dicom] a JPEG frame has no frame header");
}

void check_lossless_tables(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kLengths = 16;  // codes of 1 to 16 bits
  constexpr int kMaxDifferenceBits = 16;
  const auto is_alone = [](int marker) { return marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8); };
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    const int marker = bytes[at + 1];
    if (bytes[at] != 0xff || marker == 0xff || is_alone(marker)) {  // within a scan, a fill byte, or without a length
      ++at;
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(bytes[at + 2] << 8 | bytes[at + 3]);
    const std::size_t end = std::min(bytes.size(), at + 2 + length);
    for (std::size_t table = at + 4; marker == 0xc4 && table + 1 + kLengths <= end;) {
      const auto counts = bytes.subspan(table + 1, kLengths);
      const std::size_t symbols = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
      table += 1 + kLengths;
      const auto values = bytes.subspan(table, std::min(symbols, end - table));
      CMUNET_CHECK(std::ranges::all_of(values, [](int v) { return v <= kMaxDifferenceBits; }), ErrorCode::kCorrupt,
                   "[dicom] a frame cannot be decoded: its Huffman table codes differences of more than ",
                   kMaxDifferenceBits, " bits");
      table += values.size();
    }
    at += marker == 0xda || length < 2 ? 2 : 2 + length;  // a scan's data are searched for markers, too
  }
}

namespace {

constexpr int kStartOfScan = 0xffda;                             // of JPEG
constexpr int kStartOfTile = 0xff90, kStartOfTileData = 0xff93;  // of JPEG 2000: SOT and SOD
constexpr std::size_t kSotBytes = 12, kTileLengthAt = 6;         // of the SOT segment with its marker

bool holds_free_text(int marker, bool is_jpeg2000) {
  const bool is_application = marker >= 0xffe0 && marker <= 0xffef && marker != 0xffe8 && marker != 0xffee;
  return is_jpeg2000 ? marker == 0xff64 : marker == 0xfffe || is_application;
}

// Overwrites the free text of the segments from `at` on; `at` ends on the marker `last`, or where no segment follows.
int clear_segments(std::span<std::uint8_t> bytes, std::size_t& at, int last, bool is_jpeg2000) {
  const auto word = [&](std::size_t i) { return bytes[i] << 8 | bytes[i + 1]; };
  int cleared = 0;
  while (at + 4 <= bytes.size()) {
    const int marker = word(at);
    if (marker == 0xffff) {  // a fill byte
      ++at;
      continue;
    }
    const auto length = static_cast<std::size_t>(word(at + 2));
    if (marker < 0xff00 || marker == last || length < 2 || at + 2 + length > bytes.size()) break;
    if (holds_free_text(marker, is_jpeg2000)) {
      const auto content = bytes.subspan(at + 4, length - 2);
      if (std::ranges::any_of(content, [](std::uint8_t b) { return b != 0; })) ++cleared;
      std::ranges::fill(content, std::uint8_t{0});
    }
    at += 2 + length;
  }
  return cleared;
}

}  // namespace

int clear_comments(std::span<std::uint8_t> bytes) {
  const auto word = [&](std::size_t at) { return static_cast<std::uint32_t>(bytes[at] << 8 | bytes[at + 1]); };
  if (bytes.size() < 4) return 0;
  std::size_t at = 2;
  if (word(0) == 0xffd8) return clear_segments(bytes, at, kStartOfScan, false);
  if (word(0) != 0xff4f) return 0;
  int cleared = clear_segments(bytes, at, kStartOfTile, true);
  while (at + kSotBytes <= bytes.size() && word(at) == kStartOfTile) {
    const std::size_t begin = at, length = word(at + kTileLengthAt) << 16 | word(at + kTileLengthAt + 2);
    at += kSotBytes;
    cleared += clear_segments(bytes, at, kStartOfTileData, true);
    if (length < kSotBytes || length > bytes.size() - begin) break;  // 0: the last one, up to the end
    at = begin + length;
  }
  return cleared;
}

}  // namespace cmunet::dicom
