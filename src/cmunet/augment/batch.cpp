// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/batch.h"

#include <torch/torch.h>

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {
namespace {

// Streams 0…999 of a seed are for other draws of a run.
constexpr std::uint64_t kFirstOrderStream = 1000;

}  // namespace

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
  at::Tensor images = torch::empty({count, 1, height, width}), masks;
  if (all_labelled) masks = torch::empty({count, height, width}, torch::kUInt8);
  DeviceStore result;
  for (std::int64_t n = 0; n < count; ++n) {
    const std::size_t index = indices[static_cast<std::size_t>(n)];
    std::ranges::copy(store.image(index), images.data_ptr<float>() + n * pixels);
    if (all_labelled) std::ranges::copy(store.mask(index), masks.data_ptr<std::uint8_t>() + n * pixels);
    result.ids.push_back(records[index].id);
  }
  result.images = images.to(device, dtype);
  if (all_labelled) result.masks = masks.to(device);
  return result;
}

at::Tensor gather(const at::Tensor& all, std::span<const std::int64_t> indices) {
  for (const std::int64_t index : indices) {
    CMUNET_CHECK(index >= 0 && index < all.size(0), ErrorCode::kInvalidArgument, "[gather] index ", index, " of ",
                 all.size(0), " rows");
  }
  const at::Tensor on_host = torch::tensor(std::vector<std::int64_t>(indices.begin(), indices.end()), torch::kLong);
  const at::Tensor rows = all.index_select(0, on_host.to(all.device()));
  return rows.scalar_type() == at::kHalf ? rows.to(at::kFloat) : rows;
}

EpochSampler::EpochSampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed, std::int64_t smallest_batch)
    : size_(size),
      batch_size_(std::min(batch_size, size)),
      smallest_batch_(std::min(smallest_batch, size)),
      seed_(seed) {
  CMUNET_CHECK(size > 0 && smallest_batch > 0 && smallest_batch <= batch_size, ErrorCode::kInvalidArgument,
               "[sampler] ", size, " images in batches of ", batch_size, ", at least ", smallest_batch,
               "; all must be positive and the least not above the batch");
}

std::int64_t EpochSampler::steps_per_epoch() const {
  return size_ / batch_size_ + (size_ % batch_size_ >= smallest_batch_ ? 1 : 0);
}

std::vector<std::int64_t> EpochSampler::next() {
  if (order_epoch_ != position_.epoch) {
    order_ = Rng(seed_).fork(kFirstOrderStream + static_cast<std::uint64_t>(position_.epoch)).permutation(size_);
    order_epoch_ = position_.epoch;
  }
  const std::int64_t begin = position_.step * batch_size_, end = std::min(size_, begin + batch_size_);
  std::vector<std::int64_t> batch(order_.begin() + begin, order_.begin() + end);
  if (++position_.step == steps_per_epoch()) position_ = {position_.epoch + 1, 0};
  return batch;
}

void EpochSampler::seek(const Position& position) {
  CMUNET_CHECK(position.epoch >= 0 && position.step >= 0 && position.step < steps_per_epoch(),
               ErrorCode::kInvalidArgument, "[sampler] step ", position.step, " of epoch ", position.epoch,
               " was saved, but an epoch has ", steps_per_epoch(), " steps");
  position_ = position;
}

}  // namespace cmunet::augment
