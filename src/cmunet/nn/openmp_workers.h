// SPDX-License-Identifier: Apache-2.0
// LibTorch's own threads for the native kernels: a second set of threads would fight with it for the cores.
#pragma once

#include <cstddef>

#include "cmunet/kernels/workers.h"

namespace cmunet::nn {

/// OpenMP's threads of the calling thread, `threads` of them.
kernels::Workers openmp_workers(std::size_t threads);

}  // namespace cmunet::nn
