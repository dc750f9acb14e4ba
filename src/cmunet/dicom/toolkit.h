// SPDX-License-Identifier: Apache-2.0
// DCMTK's process-wide state, set up in one place.
#pragma once

namespace cmunet::dicom {

/// Makes DCMTK ready: decoders registered, data dictionary loaded, its log silenced, its parser told to accept the
/// slips of real devices. Every function of this module that touches DCMTK calls it first; only the first call works.
/// Thread-safe. @throws Error kNotFound when there is no data dictionary.
void start_toolkit();

}  // namespace cmunet::dicom
