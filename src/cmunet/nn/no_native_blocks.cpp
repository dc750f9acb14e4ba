// SPDX-License-Identifier: Apache-2.0
// Stands in for native_blocks.cpp in builds without the module `kernels`: LibTorch does everything.
#include "cmunet/base/error.h"
#include "cmunet/nn/native_blocks.h"

namespace cmunet::nn {

bool native_applies(const at::Tensor&, bool) { return false; }

bool native_pays(std::int64_t, std::int64_t) { return false; }

BlockOutput native_double_conv(const std::vector<at::Tensor>&, ConvNorm, ConvNorm, bool, Communicator&) {
  throw Error(ErrorCode::kInternal, "[native_double_conv] this build has no native kernels");
}

at::Tensor native_up_conv(const at::Tensor&, const torch::nn::ConvTranspose2dImpl&) {
  throw Error(ErrorCode::kInternal, "[native_up_conv] this build has no native kernels");
}

}  // namespace cmunet::nn
