// SPDX-License-Identifier: Apache-2.0
#include "cmunet/codec/codec.h"
#include "cmunet/report/picture_uri.h"
#include "cmunet/report/text.h"

namespace cmunet::report {

std::string picture_uri(const image::ImageRgb& image) {
  CMUNET_CHECK(!image.empty(), ErrorCode::kInvalidArgument, "[picture] the image is empty; it must have pixels");
  return "data:image/png;base64," + base64(codec::encode_png(image));
}

}  // namespace cmunet::report
