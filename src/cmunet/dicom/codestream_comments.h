// SPDX-License-Identifier: Apache-2.0
// Free text within compressed frames.
#pragma once

#include <cstdint>
#include <span>

namespace cmunet::dicom {

/// Overwrites with zeros the content of comment and application segments of a JPEG, JPEG-LS or JPEG 2000 code stream,
/// before, between and after its scans, or in all tile-part headers that are there, and whatever follows its end;
/// lengths stay. APP8 and APP14 stay: decoders read the colour transform there.
/// Of a frame in several fragments only the first is a code stream here: what stands in later ones stays.
/// @returns how many held anything else than zeros; 0 for other bytes
int clear_comments(std::span<std::uint8_t> bytes);

}  // namespace cmunet::dicom
