// SPDX-License-Identifier: Apache-2.0
// RLE Lossless frames (PS3.5 Annex G), decoded here because DCMTK 3.6.7 believes the offsets in their headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cmunet::dicom {

/// Cells of `bytes_per_cell` (1 or 2, little endian) bytes, colour by pixel: `pixels` times `samples` of them.
/// @throws Error kCorrupt when the header, a segment's place or its content does not yield exactly as many.
std::vector<std::uint8_t> decode_rle(std::span<const std::uint8_t> bytes, std::size_t pixels, int samples,
                                     int bytes_per_cell);

}  // namespace cmunet::dicom
