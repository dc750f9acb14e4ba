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

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const unsigned wanted = threads > 0 ? static_cast<unsigned>(threads) : std::thread::hardware_concurrency();
  shares_ = std::vector<Share>(std::max(wanted, 1U));
  for (unsigned i = 1; i < wanted; ++i) workers_.emplace_back([this, i] { serve(i); });
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::size_t count, const Task& task) {
  task_ = &task;
  for (std::size_t t = 0; t < size(); ++t) {
    shares_[t].next.store(t * count / size(), std::memory_order_relaxed);
    shares_[t].end = (t + 1) * count / size();
  }
  if (workers_.empty() || count <= 1) return work(0);
  // Every worker takes part in every round, so none can still be reading the last one's task.
  busy_.store(workers_.size(), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  work(0);
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
    work(thread);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

// The thread's own share first: round after round a thread then works on the same part of an image, which its caches
// still hold. Processors whose cores share no cache take twice as long when neighbouring tasks change hands.
void ThreadPool::work(std::size_t thread) {
  for (std::size_t other = 0; other < size(); ++other) {
    Share& share = shares_[(thread + other) % size()];
    for (std::size_t i = share.next.fetch_add(1, std::memory_order_relaxed); i < share.end;
         i = share.next.fetch_add(1, std::memory_order_relaxed)) {
      (*task_)(i, thread);
    }
  }
}

}  // namespace cmunet::kernels
