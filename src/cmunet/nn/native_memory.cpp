// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/native_memory.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

#include "cmunet/nn/openmp_workers.h"

namespace cmunet::nn {
namespace {

constexpr std::uintptr_t kAlignment = 64;
// Of one map: an operation reads two or three.
constexpr std::size_t kPartBytes = 96 << 10;

template <typename T>
kernels::Map<T> map_of(const at::Tensor& x) {
  const auto size = [&](int dim) { return static_cast<std::size_t>(x.size(dim)); };
  return {x.data_ptr<float>(), size(2), size(3), size(1), size(1), size(0)};
}

}  // namespace

kernels::Workers torch_workers() { return openmp_workers(static_cast<std::size_t>(at::get_num_threads())); }

at::Tensor channels_last(const at::Tensor& x) {
  at::Tensor result = x.contiguous(at::MemoryFormat::ChannelsLast);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): an address is looked at
  const auto address = reinterpret_cast<std::uintptr_t>(result.data_ptr());
  return address % kAlignment == 0 ? result : result.clone(at::MemoryFormat::ChannelsLast);
}

at::Tensor empty_map(std::int64_t n, std::int64_t channels, std::int64_t height, std::int64_t width) {
  return at::empty({n, channels, height, width}, at::TensorOptions(at::kFloat), at::MemoryFormat::ChannelsLast);
}

at::Tensor empty_floats(std::size_t count) { return at::empty({static_cast<std::int64_t>(count)}, at::kFloat); }

kernels::Map<const float> read_map(const at::Tensor& x) { return map_of<const float>(x); }
kernels::Map<float> write_map(const at::Tensor& x) { return map_of<float>(x); }

kernels::Map<const float> read_map_or_none(const at::Tensor& x) {
  return x.defined() ? read_map(x) : kernels::Map<const float>{};
}

RowParts::RowParts(const kernels::Map<const float>& map) : rows_(map.images * map.height) {
  const std::size_t row_bytes = map.width * map.pixel_stride * sizeof(float);
  rows_at_once_ = 2 * std::max<std::size_t>(1, kPartBytes / row_bytes / 2);
}

kernels::RowRange RowParts::part(std::size_t index) const {
  return {index * rows_at_once_, std::min(rows_, (index + 1) * rows_at_once_)};
}

}  // namespace cmunet::nn
