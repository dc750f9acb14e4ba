// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cmunet {

/// Version of the program, written into every file it makes.
inline constexpr const char* kVersion = "0.1.0";

/// Stands on every output of every command.
inline constexpr const char* kDisclaimer = "Research software, not for clinical use.";

}  // namespace cmunet
