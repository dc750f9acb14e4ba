// SPDX-License-Identifier: Apache-2.0
// Tensors as the native kernels see them.
#pragma once

#include <ATen/core/Tensor.h>

#include "cmunet/kernels/batch_norm.h"
#include "cmunet/kernels/map.h"
#include "cmunet/kernels/workers.h"

namespace cmunet::nn {

/// LibTorch's threads.
kernels::Workers torch_workers();

/// `x` in channels-last memory that begins at a multiple of 64 bytes; itself when it is.
at::Tensor channels_last(const at::Tensor& x);

/// Uninitialised [N, channels, H, W] in channels-last memory.
at::Tensor empty_map(std::int64_t n, std::int64_t channels, std::int64_t height, std::int64_t width);

/// Uninitialised floats.
at::Tensor empty_floats(std::size_t count);

/// A channels-last tensor as a map. C must be a multiple of kernels::kPanel.
kernels::Map<const float> read_map(const at::Tensor& x);
kernels::Map<float> write_map(const at::Tensor& x);

/// An undefined tensor is a map without data.
kernels::Map<const float> read_map_or_none(const at::Tensor& x);

/// Rows of all images, cut into parts that stay in a cache and begin at even rows.
class RowParts {
 public:
  explicit RowParts(const kernels::Map<const float>& map);
  std::size_t count() const { return (rows_ + rows_at_once_ - 1) / rows_at_once_; }
  kernels::RowRange part(std::size_t index) const;

 private:
  std::size_t rows_, rows_at_once_;
};

}  // namespace cmunet::nn
