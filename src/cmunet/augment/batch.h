// SPDX-License-Identifier: Apache-2.0
// A store's images as tensors on the training device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cmunet/dataset/store.h"

namespace cmunet::augment {

/// Some images of a store on one device, in the order of `ids`.
struct DeviceStore {
  at::Tensor images;  ///< [N, 1, H, W] float, as prepared
  at::Tensor masks;   ///< [N, H, W] uint8, 0 or 1; undefined when any image has no mask
  std::vector<std::string> ids;
};

/// Copies the records `indices` of `store` to `device`. Without indices the tensors have N = 0.
DeviceStore to_device(const dataset::Store& store, std::span<const std::size_t> indices, at::Device device);

}  // namespace cmunet::augment
