// SPDX-License-Identifier: Apache-2.0
// Free text within compressed frames.
#pragma once

#include <cstdint>
#include <span>

namespace cmunet::dicom {

/// Overwrites the content of comment and application segments of a JPEG, JPEG-LS or JPEG 2000 code stream with zeros,
/// up to its first scan, or in all tile-part headers that are there; lengths stay. APP8 and APP14 stay: decoders read
/// the colour transform there.
/// Of a frame in several fragments only the first is a code stream here: tile-part headers in later ones stay.
/// @returns how many held anything else than zeros; 0 for other bytes
int clear_comments(std::span<std::uint8_t> bytes);

}  // namespace cmunet::dicom
