// SPDX-License-Identifier: Apache-2.0
// How much a picture is blurred and sharpened.
#pragma once

#include <vector>

#include "cmunet/vessel/cut.h"

namespace cmunet::vessel {

/// The blur and the sharpening with which the clear cuts of wide vessels leave the least; 1 px and none where there are
/// fewer than ten of them.
/// @param cuts  that were read; changed: some are fitted
WallBlur find_blur(const std::vector<Cut*>& cuts);

}  // namespace cmunet::vessel
