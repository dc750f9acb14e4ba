// SPDX-License-Identifier: Apache-2.0
// Compiled with OpenMP, alone in this module.
#include "cmunet/nn/openmp_workers.h"

#include <omp.h>

#include "cmunet/kernels/shares.h"

namespace cmunet::nn {

kernels::Workers openmp_workers(std::size_t threads) {
  const auto run = [threads](std::size_t count, const kernels::Task& task) {
    kernels::Shares shares(threads);
    shares.deal(count);
#pragma omp parallel num_threads(static_cast <int>(threads))
    shares.work(static_cast<std::size_t>(omp_get_thread_num()), task);
  };
  return {threads, run};
}

}  // namespace cmunet::nn
