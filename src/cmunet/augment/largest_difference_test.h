// SPDX-License-Identifier: Apache-2.0
// For tests.
#pragma once

#include <ATen/core/Tensor.h>

namespace cmunet::augment {

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace cmunet::augment
