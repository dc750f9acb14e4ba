// SPDX-License-Identifier: Apache-2.0
// A store's images as tensors on the training device, batches of them, and the order in which they are visited.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cmunet/dataset/store.h"

namespace cmunet::augment {

/// Some images of a store on one device, in the order of `ids`.
struct DeviceStore {
  at::Tensor images;  ///< [N, 1, H, W] as prepared, float32 or half
  at::Tensor masks;   ///< [N, H, W] uint8, 0 or 1; undefined when any image has no mask
  std::vector<std::string> ids;
};

/// Copies the records `indices` of `store` to `device`. Without indices the tensors have N = 0.
/// @param dtype  of the images at rest: float32, or half for half the memory; `gather` gives float32 again.
/// @throws Error kInvalidArgument for an index out of range or another dtype.
DeviceStore to_device(const dataset::Store& store, std::span<const std::size_t> indices, at::Device device,
                      at::ScalarType dtype = at::kFloat);

/// The rows `indices` of `all` [N, …] in that order, on its device; half becomes float32, other types stay.
/// @throws Error kInvalidArgument for an index out of range, before the device sees it.
at::Tensor gather(const at::Tensor& all, std::span<const std::int64_t> indices);

/// Visits every image once per epoch in a new order. The order follows from seed and epoch alone, so it is the same on
/// every device and whatever was drawn elsewhere, and a position is two numbers.
class EpochSampler {
 public:
  /// The next batch: `step` of `epoch`, both from 0.
  struct Position {
    std::int64_t epoch = 0, step = 0;
    bool operator==(const Position&) const = default;
  };

  /// @param size        images in the set
  /// @param batch_size  images per batch; when the set is smaller, each batch is the whole set
  /// @param smallest_batch  a last batch with fewer images is left out: 1 keeps every image, `batch_size` drops every
  ///                        partial batch, 2 suits batch norm over single features, which one image has no variance of
  /// @throws Error kInvalidArgument unless all are positive and smallest_batch ≤ batch_size.
  EpochSampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed, std::int64_t smallest_batch = 1);

  std::int64_t batch_size() const { return batch_size_; }
  std::int64_t steps_per_epoch() const;
  /// Indices of the next batch; moves on, into the next epoch after the last batch.
  std::vector<std::int64_t> next();

  Position position() const { return position_; }
  /// Continues at a saved position. @throws Error kInvalidArgument for one that this set and batch size do not have.
  void seek(const Position& position);

 private:
  std::int64_t size_, batch_size_, smallest_batch_;
  std::uint64_t seed_;
  Position position_;
  std::vector<std::int64_t> order_;  // of epoch `order_epoch_`
  std::int64_t order_epoch_ = -1;
};

}  // namespace cmunet::augment
