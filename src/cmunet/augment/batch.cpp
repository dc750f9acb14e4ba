// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/batch.h"

#include <torch/torch.h>

#include <algorithm>

namespace cmunet::augment {

DeviceStore to_device(const dataset::Store& store, std::span<const std::size_t> indices, at::Device device) {
  const auto count = static_cast<std::int64_t>(indices.size());
  const std::int64_t height = store.height(), width = store.width();
  DeviceStore result;
  result.images = torch::empty({count, 1, height, width});
  const bool all_labelled =
      std::all_of(indices.begin(), indices.end(), [&](std::size_t i) { return store.records()[i].has_mask; });
  if (all_labelled) result.masks = torch::empty({count, height, width}, torch::kUInt8);
  const std::int64_t pixels = height * width;
  for (std::int64_t n = 0; n < count; ++n) {
    const std::size_t index = indices[static_cast<std::size_t>(n)];
    std::ranges::copy(store.image(index), result.images.data_ptr<float>() + n * pixels);
    if (all_labelled) std::ranges::copy(store.mask(index), result.masks.data_ptr<std::uint8_t>() + n * pixels);
    result.ids.push_back(store.records()[index].id);
  }
  result.images = result.images.to(device);
  if (all_labelled) result.masks = result.masks.to(device);
  return result;
}

}  // namespace cmunet::augment
