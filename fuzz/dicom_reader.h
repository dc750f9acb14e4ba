// SPDX-License-Identifier: Apache-2.0
// Everything of `dicom` that reads files from outside, on any bytes.
#pragma once

#include <cstdint>
#include <span>

namespace cmunet::fuzz {

/// Reads the bytes as a run with its frames, as a folder's file, as a segmentation, and makes a de-identified copy.
/// Expected are Errors of kind kCorrupt and kUnsupported, which end here. @throws std::logic_error for another kind, or
/// when what was opened is beyond `dicom::StructureLimits`.
void read_dicom(std::span<const std::uint8_t> bytes);

}  // namespace cmunet::fuzz
