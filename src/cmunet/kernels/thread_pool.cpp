// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/thread_pool.h"

#include <hwy/cache_control.h>

#include <algorithm>

namespace cmunet::kernels {
namespace {

// Some tens of microseconds: longer than the gap between two layers, shorter than anybody notices.
constexpr int kSpins = 4000;

// Waits until `value` is no longer `seen`: awake first, then asleep.
template <typename T>
void wait_for_change(const std::atomic<T>& value, T seen) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != seen) return;
    hwy::Pause();
  }
  value.wait(seen, std::memory_order_acquire);
}

std::size_t threads_of(int wanted) {
  return std::max<std::size_t>(wanted > 0 ? static_cast<unsigned>(wanted) : std::thread::hardware_concurrency(), 1);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : shares_(threads_of(threads)) {
  for (std::size_t i = 1; i < threads_of(threads); ++i) workers_.emplace_back([this, i] { serve(i); });
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::size_t count, const Task& task) {
  task_ = &task;
  shares_.deal(count);
  if (workers_.empty() || count <= 1) return shares_.work(0, task);
  // Every worker takes part in every round, so none can still be reading the last one's task.
  busy_.store(workers_.size(), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  shares_.work(0, task);
  for (std::size_t busy = busy_.load(std::memory_order_acquire); busy != 0;
       busy = busy_.load(std::memory_order_acquire)) {
    wait_for_change(busy_, busy);
  }
}

void ThreadPool::serve(std::size_t thread) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_for_change(round_, seen);
    ++seen;
    if (stopping_) return;
    shares_.work(thread, *task_);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

}  // namespace cmunet::kernels
