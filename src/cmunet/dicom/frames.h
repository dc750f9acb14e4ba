// SPDX-License-Identifier: Apache-2.0
// The stored pixel values of one frame at a time, whatever the transfer syntax. Nothing of another frame is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cmunet/image/image.h"

class DcmDataset;

namespace cmunet::dicom {

/// Larger frames are refused; detectors have below 2^23.
inline constexpr std::int64_t kMaxFramePixels = std::int64_t{1} << 25;

/// How samples lie in the file: the Image Pixel module (PS3.3 C.7.6.3), checked.
struct PixelFormat {
  int frames = 1, height = 0, width = 0;
  int samples = 1;         ///< 1 grey or index, 3 colour
  int bits_allocated = 8;  ///< 8 or 16
  int bits_stored = 8;     ///< 1 to bits_allocated
  int high_bit = 7;        ///< most significant bit of the stored value
  bool is_signed = false;
  bool is_planar = false;  ///< colour by plane, not by pixel
  std::string photometric;
  std::string transfer_syntax;

  /// Pixels are indices of colours; what is read of them is luma in [0, 255].
  bool has_palette() const { return photometric == "PALETTE COLOR"; }
};

/// Reads and checks the Image Pixel module. @throws Error kUnsupported when this is no image that can be shown as grey
/// (no pixel data, packed bits, …), kCorrupt for values that contradict each other.
PixelFormat read_pixel_format(DcmDataset& dataset, std::vector<std::string>& oddities);

/// What a JPEG or JPEG-LS bit stream says about itself in its frame header.
struct CodestreamSize {
  int height = 0, width = 0, components = 0, precision = 0;
};
/// Walks the marker segments up to the frame header, so that decoders meet no size that is not the data set's.
/// @throws Error kCorrupt when there is none; kUnsupported for a process (SOFn) that `transfer_syntax` does not allow.
CodestreamSize read_codestream_size(std::span<const std::uint8_t> bytes, const std::string& transfer_syntax);

/// Of lossless JPEG: the Huffman tables, wherever they stand. DCMTK 3.6.7 reads beyond an array of its own for symbols
/// that are no number of bits. @throws Error kCorrupt for one above 16.
void check_lossless_tables(std::span<const std::uint8_t> bytes);

/// Frames of an opened data set, which must outlive this. Not thread-safe.
class FrameReader {
 public:
  /// Finds where each frame is, without reading pixels. Lowers `format.frames` to what is really there.
  /// @throws Error kCorrupt, kUnsupported.
  FrameReader(DcmDataset& dataset, PixelFormat& format, std::vector<std::string>& oddities);
  ~FrameReader();
  FrameReader(FrameReader&&) noexcept;
  FrameReader& operator=(FrameReader&&) noexcept;

  /// Stored values (before the modality LUT); colour and palette colour as its luma. @throws Error kCorrupt.
  image::ImageF read(int index) const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace cmunet::dicom
