// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace cmunet {

/// Calls run(i) for every i below `count` on `threads` threads (0: all cores). Of several errors the one with the
/// lowest i is thrown, whichever came first in time: indices are taken in order, and what is taken is done.
template <typename Run>
void for_each_parallel(std::size_t count, int threads, Run run) {
  const std::size_t wanted = threads > 0 ? static_cast<std::size_t>(threads) : std::thread::hardware_concurrency();
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> has_failed = false;
  const auto work = [&] {
    while (!has_failed) {
      const std::size_t i = next++;
      if (i >= count) return;
      try {
        run(i);
      } catch (...) {
        errors[i] = std::current_exception();
        has_failed = true;
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::size_t w = 1; w < std::min(std::max<std::size_t>(wanted, 1), count); ++w) workers.emplace_back(work);
    work();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace cmunet
