// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/store_images.h"

#include <algorithm>

#include "cmunet/base/error.h"

namespace cmunet::cli {

image::ImageF image_of(const dataset::Store& store, std::size_t index) {
  image::ImageF picture(store.height(), store.width());
  std::ranges::copy(store.image(index), picture.begin());
  picture.spacing_mm = store.records()[index].spacing_mm;
  return picture;
}

image::Mask mask_of(const dataset::Store& store, std::size_t index) {
  CMUNET_CHECK(store.records()[index].has_mask, ErrorCode::kInvalidArgument, "[store] ", store.records()[index].id,
               " has no mask");
  image::Mask mask(store.height(), store.width());
  std::ranges::copy(store.mask(index), mask.begin());
  return mask;
}

std::vector<std::size_t> labelled_in(const dataset::Store& store, dataset::Split split) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    if (store.records()[i].split == split && store.records()[i].has_mask) indices.push_back(i);
  }
  if (indices.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[store] there is no labelled image in the ", dataset::to_string(split), " split"),
                "cmunet info STORE shows what each split holds");
  }
  return indices;
}

}  // namespace cmunet::cli
