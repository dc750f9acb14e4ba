// SPDX-License-Identifier: Apache-2.0
// A picture as the address of itself, for <img src>. Two bodies: with the codec module PNG, without it BMP.
#pragma once

#include <string>

#include "cmunet/image/image.h"

namespace cmunet::report {

/// "data:image/…;base64,…". Lossless. @throws Error kInvalidArgument when the image is empty.
std::string picture_uri(const image::ImageRgb& image);

}  // namespace cmunet::report
