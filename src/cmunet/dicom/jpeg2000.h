// SPDX-License-Identifier: Apache-2.0
// JPEG 2000 code streams through OpenJPEG.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cmunet::dicom {

/// Does the beginning of a frame hold something before the code stream, as the boxes of a JP2 file?
bool is_wrapped_jpeg2000(std::span<const std::uint8_t> bytes);

/// The samples of a code stream, interleaved by pixel; their sign and precision are the code stream's.
/// @throws Error kCorrupt when it is damaged or is not height x width of `samples` components of at most 16 bits.
std::vector<std::int32_t> decode_jpeg2000(std::span<const std::uint8_t> bytes, int height, int width, int samples);

}  // namespace cmunet::dicom
