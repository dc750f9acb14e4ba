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

enum class Coding { kJpeg, kJpegLs, kJpeg2000 };

constexpr int kStartOfScan = 0xffda, kEndOfImage = 0xffd9;       // the latter also of JPEG 2000, as EOC
constexpr int kStartOfTile = 0xff90, kStartOfTileData = 0xff93;  // of JPEG 2000: SOT and SOD
constexpr std::size_t kSotBytes = 12, kTileLengthAt = 6;         // of the SOT segment with its marker

int word(std::span<const std::uint8_t> bytes, std::size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

bool holds_free_text(int marker, Coding coding) {
  const bool is_application = marker >= 0xffe0 && marker <= 0xffef && marker != 0xffe8 && marker != 0xffee;
  return coding == Coding::kJpeg2000 ? marker == 0xff64 : marker == 0xfffe || is_application;
}

// 1 when there was anything.
int clear(std::span<std::uint8_t> text) {
  const bool held = std::ranges::any_of(text, [](std::uint8_t b) { return b != 0; });
  std::ranges::fill(text, std::uint8_t{0});
  return held ? 1 : 0;
}

// Overwrites the free text of the segments from `at` on; `at` ends on the marker `last`, on the end of the image, or
// where no segment follows. A frame header of JPEG-LS among them makes `coding` that.
int clear_segments(std::span<std::uint8_t> bytes, std::size_t& at, int last, Coding& coding) {
  int cleared = 0;
  while (at + 4 <= bytes.size()) {
    const int marker = word(bytes, at);
    if (marker == 0xffff) {  // a fill byte
      ++at;
      continue;
    }
    const auto length = static_cast<std::size_t>(word(bytes, at + 2));
    if (marker < 0xff00 || marker == last || marker == kEndOfImage) break;
    if (length < 2 || at + 2 + length > bytes.size()) break;
    if (marker == (0xff00 | kSofJpegLs)) coding = Coding::kJpegLs;
    if (holds_free_text(marker, coding)) cleared += clear(bytes.subspan(at + 4, length - 2));
    at += 2 + length;
  }
  return cleared;
}

// The marker that ends the scan or the tile's data in which `at` lies, or the end of the bytes. FF and what makes it no
// marker: 0 in JPEG, anything below 0x80 in JPEG-LS and below 0x90 in JPEG 2000, whose packets may have markers (SOP,
// EPH) too; fill bytes and restart markers belong to a scan.
std::size_t end_of_data(std::span<const std::uint8_t> bytes, std::size_t at, Coding coding) {
  for (; at + 1 < bytes.size(); ++at) {
    if (bytes[at] != 0xff) continue;
    const int next = bytes[at + 1];
    const bool is_scan = next == 0xff || (next >= 0xd0 && next <= 0xd7);
    const bool is_data = coding == Coding::kJpeg2000 ? (0xff00 | next) != kEndOfImage
                         : coding == Coding::kJpegLs ? is_scan || next < 0x80
                                                     : is_scan || next == 0;
    if (!is_data) return at;
  }
  return bytes.size();
}

// What follows the end of the image is no part of it.
int clear_behind(std::span<std::uint8_t> bytes, std::size_t end) {
  if (end + 2 > bytes.size() || word(bytes, end) != kEndOfImage) return 0;
  const int cleared = clear(bytes.subspan(end + 2));
  return bytes.size() - end - 2 > 1 ? cleared : 0;  // a single byte pads to an even length
}

int clear_jpeg(std::span<std::uint8_t> bytes) {
  Coding coding = Coding::kJpeg;
  std::size_t at = 2;
  int cleared = clear_segments(bytes, at, kStartOfScan, coding);
  while (at + 4 <= bytes.size() && word(bytes, at) == kStartOfScan) {
    at = end_of_data(bytes, at + 2 + static_cast<std::size_t>(word(bytes, at + 2)), coding);
    cleared += clear_segments(bytes, at, kStartOfScan, coding);
  }
  return cleared + clear_behind(bytes, at);
}

int clear_jpeg2000(std::span<std::uint8_t> bytes) {
  Coding coding = Coding::kJpeg2000;
  std::size_t at = 2;
  int cleared = clear_segments(bytes, at, kStartOfTile, coding);
  while (at + kSotBytes <= bytes.size() && word(bytes, at) == kStartOfTile) {
    const std::size_t begin = at, length = static_cast<std::size_t>(word(bytes, at + kTileLengthAt)) << 16 |
                                           static_cast<std::size_t>(word(bytes, at + kTileLengthAt + 2));
    at += kSotBytes;
    cleared += clear_segments(bytes, at, kStartOfTileData, coding);
    if (length < kSotBytes || length > bytes.size() - begin) {  // 0: the last one, up to the end
      at = end_of_data(bytes, at, coding);
    } else {
      at = begin + length;
    }
  }
  return cleared + clear_behind(bytes, at);
}

}  // namespace

int clear_comments(std::span<std::uint8_t> bytes) {
  if (bytes.size() < 4) return 0;
  return word(bytes, 0) == 0xffd8 ? clear_jpeg(bytes) : word(bytes, 0) == 0xff4f ? clear_jpeg2000(bytes) : 0;
}

}  // namespace cmunet::dicom
