// SPDX-License-Identifier: Apache-2.0
// Compiled with OpenMP, alone in this module.
#include "cmunet/nn/openmp_workers.h"

#include <omp.h>

namespace cmunet::nn {

kernels::Workers openmp_workers(std::size_t threads) {
  const auto run = [threads](std::size_t count, const kernels::Task& task) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast <int>(threads))
    for (std::size_t i = 0; i < count; ++i) task(i, static_cast<std::size_t>(omp_get_thread_num()));
  };
  return {threads, run};
}

}  // namespace cmunet::nn
