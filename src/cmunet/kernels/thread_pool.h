// SPDX-License-Identifier: Apache-2.0
// A few threads that run short tasks of one caller: a network's layers follow each other within microseconds.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "cmunet/kernels/shares.h"
#include "cmunet/kernels/workers.h"

namespace cmunet::kernels {

/// Threads that wait for work: spinning a moment, then asleep, so that an idle engine costs nothing.
class ThreadPool {
 public:
  /// @param threads  that work together, the caller's included: at least 1; 0 for one per processor
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t size() const { return workers_.size() + 1; }

  /// See Workers::run.
  void run(std::size_t count, const Task& task);
  /// These threads, for as long as the pool lives.
  Workers workers() {
    return {size(), [this](std::size_t count, const Task& task) { run(count, task); }};
  }

 private:
  void serve(std::size_t thread);

  const Task* task_ = nullptr;
  Shares shares_;
  std::atomic<std::size_t> busy_{0};     // workers that have not finished the current round
  std::atomic<std::uint32_t> round_{0};  // changes when there is work
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace cmunet::kernels
