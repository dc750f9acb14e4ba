// SPDX-License-Identifier: Apache-2.0
// DCMTK's process-wide state, set up in one place, and what differs between its versions.
#pragma once

#include <string>

namespace cmunet::dicom {

/// Makes DCMTK ready: decoders registered, data dictionary loaded, its log silenced, its parser told to accept the
/// slips of real devices. Every function of this module that touches DCMTK calls it first; only the first call works.
/// Thread-safe. @throws Error kNotFound when there is no data dictionary.
void start_toolkit();

/// @throws Error kUnsupported, always: names the transfer syntax and says what to do.
[[noreturn]] void refuse_syntax(const std::string& uid);

/// True when pixel data of a transfer syntax (a DcmXfer) come in fragments. Newer versions of DCMTK (Debian 13)
/// deprecate the old question.
template <typename Xfer>
bool is_encapsulated(const Xfer& syntax) {
  if constexpr (requires { syntax.usesEncapsulatedFormat(); }) {
    return syntax.usesEncapsulatedFormat();
  } else {
    return syntax.isEncapsulated();
  }
}

}  // namespace cmunet::dicom
