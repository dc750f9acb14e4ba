// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/batch.h"

#include <torch/torch.h>

#include <algorithm>

#include "cmunet/base/error.h"

namespace cmunet::augment {

DeviceStore to_device(const dataset::Store& store, std::span<const std::size_t> indices, at::Device device,
                      at::ScalarType dtype) {
  CMUNET_CHECK(dtype == at::kFloat || dtype == at::kHalf, ErrorCode::kInvalidArgument, "[to_device] images as ",
               at::toString(dtype), "; must be Float or Half");
  const std::span<const dataset::Record> records = store.records();
  for (const std::size_t index : indices) {
    CMUNET_CHECK(index < records.size(), ErrorCode::kInvalidArgument, "[to_device] index ", index, " in a store of ",
                 records.size(), " images");
  }
  const auto count = static_cast<std::int64_t>(indices.size());
  const std::int64_t height = store.height(), width = store.width(), pixels = height * width;
  const bool all_labelled =
      std::all_of(indices.begin(), indices.end(), [&](std::size_t i) { return records[i].has_mask; });
  DeviceStore result;
  result.images = torch::empty({count, 1, height, width}, at::device(device).dtype(dtype));
  at::Tensor image = torch::empty({1, height, width}), masks;
  if (all_labelled) masks = torch::empty({count, height, width}, torch::kUInt8);
  for (std::int64_t n = 0; n < count; ++n) {
    const std::size_t index = indices[static_cast<std::size_t>(n)];
    std::ranges::copy(store.image(index), image.data_ptr<float>());
    result.images[n].copy_(image);  // one by one, so that there is no second copy of them all
    if (all_labelled) std::ranges::copy(store.mask(index), masks.data_ptr<std::uint8_t>() + n * pixels);
    result.ids.push_back(records[index].id);
  }
  if (all_labelled) result.masks = masks.to(device);
  return result;
}

// The driver has copied pageable memory when the call returns, so `x` may go.
at::Tensor send(const at::Tensor& x, at::Device device) { return x.to(device, x.scalar_type(), true); }

at::Tensor gather(const at::Tensor& all, std::span<const std::int64_t> indices) {
  for (const std::int64_t index : indices) {
    CMUNET_CHECK(index >= 0 && index < all.size(0), ErrorCode::kInvalidArgument, "[gather] index ", index, " of ",
                 all.size(0), " rows");
  }
  const at::Tensor on_host = torch::tensor(std::vector<std::int64_t>(indices.begin(), indices.end()), torch::kLong);
  const at::Tensor rows = all.index_select(0, send(on_host, all.device()));
  return rows.scalar_type() == at::kHalf ? rows.to(at::kFloat) : rows;
}

}  // namespace cmunet::augment
