// SPDX-License-Identifier: Apache-2.0
// How the tasks of a parallel loop are given to threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "cmunet/kernels/workers.h"

namespace cmunet::kernels {

/// The tasks of one parallel loop, cut into one share of neighbours per thread. A thread does its own share, then what
/// the others have left. So a thread works on the same part of an image in loop after loop, and its caches still hold
/// it: where cores share no cache, tasks that change hands make two threads as slow as one.
class Shares {
 public:
  explicit Shares(std::size_t threads) : shares_(threads) {}

  /// Before any thread works.
  void deal(std::size_t count) {
    for (std::size_t t = 0; t < shares_.size(); ++t) {
      shares_[t].next.store(t * count / shares_.size(), std::memory_order_relaxed);
      shares_[t].end = (t + 1) * count / shares_.size();
    }
  }

  /// Each thread calls this once. Every task has been begun when the first call returns, and is done when all have.
  void work(std::size_t thread, const Task& task) {
    for (std::size_t other = 0; other < shares_.size(); ++other) {
      Share& share = shares_[(thread + other) % shares_.size()];
      for (std::size_t i = share.next.fetch_add(1, std::memory_order_relaxed); i < share.end;
           i = share.next.fetch_add(1, std::memory_order_relaxed)) {
        task(i, thread);
      }
    }
  }

 private:
  struct alignas(64) Share {  // a cache line each
    std::atomic<std::size_t> next{0};
    std::size_t end = 0;
  };
  std::vector<Share> shares_;
};

}  // namespace cmunet::kernels
