// SPDX-License-Identifier: Apache-2.0
// A store's images as tensors on the training device, and batches of them.
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

/// `x` on `device`. Where the driver can, without waiting for what is queued there.
at::Tensor send(const at::Tensor& x, at::Device device);

/// The rows `indices` of `all` [N, …] in that order, on its device; half becomes float32, other types stay.
/// @throws Error kInvalidArgument for an index out of range, before the device sees it.
at::Tensor gather(const at::Tensor& all, std::span<const std::int64_t> indices);

}  // namespace cmunet::augment
