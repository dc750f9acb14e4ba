// SPDX-License-Identifier: Apache-2.0
// Arithmetic that mixed precision must not shorten.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace cmunet::nn {

/// While it lives, autocast leaves this thread's operations alone.
class WithoutAutocast {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

/// `x` in 32 bits, or as it is when it has 64.
inline at::Tensor at_least_single(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

}  // namespace cmunet::nn
