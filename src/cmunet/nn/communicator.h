// SPDX-License-Identifier: Apache-2.0
// How the processes that train one network together talk to each other, and the sums that make a batch which is spread
// over them count as one. Losses, batch norms and methods use the functions at the end; with a single process these
// return what they are given.
//
// Every process runs the same code on its share of the batch, so all meet in the same operations in the same order.
// The loss has the same value on each, and the gradient of a parameter is the *mean* over processes of what `backward`
// leaves in it (train::GradientAverager).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace cmunet::nn {

/// One process among several. One of the project's inheritance seams.
/// All operations may throw Error kIo when another process is gone, or does not come within the time-out.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;  ///< 0 … size() − 1
  virtual int size() const = 0;
  /// True in one process, which alone writes files and speaks to people.
  bool leads() const { return rank() == 0; }

  /// Starts adding up `x` over all processes, in place; the function that is returned waits until it is done.
  /// @param x  contiguous, of the same shape and type on every process
  virtual std::function<void()> start_sum(const at::Tensor& x) = 0;
  void sum(const at::Tensor& x) { start_sum(x)(); }
  /// [size, …]: what every process gave, by rank. @param x as above.
  virtual at::Tensor gather(const at::Tensor& x) = 0;
  /// Overwrites `x` by the leading process's. @param x as above.
  virtual void broadcast(const at::Tensor& x) = 0;
  /// Waits until all processes have come here.
  void barrier();
};

/// A process on its own: its sums are what it gives.
class SingleProcess : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::function<void()> start_sum(const at::Tensor& /*x*/) override {
    return [] {};
  }
  at::Tensor gather(const at::Tensor& x) override { return x.unsqueeze(0); }
  void broadcast(const at::Tensor& /*x*/) override {}
};

/// For what several processes do each on its own.
Communicator& single_process();

/// The communicator of this thread: that of the innermost `CommunicatorScope`, else `single_process()`.
Communicator& communicator();

/// While it lives, `communicator()` of this thread is the given one.
class CommunicatorScope {
 public:
  explicit CommunicatorScope(Communicator& inner);
  ~CommunicatorScope();
  CommunicatorScope(const CommunicatorScope&) = delete;
  CommunicatorScope& operator=(const CommunicatorScope&) = delete;

 private:
  Communicator* outer_;
};

/// The rows of a batch of `count` that this process works on: first … first + count − 1, in the order of ranks, sizes
/// differing by one at most. @throws Error kInvalidArgument when there are fewer rows than processes.
struct Share {
  std::int64_t first = 0, count = 0;
};
Share share_of(std::int64_t count);

/// Σ over processes, with a gradient.
at::Tensor sum_over_processes(const at::Tensor& x);

/// Σ over processes of `sum` / Σ over processes of `count`, both scalars of one type: a mean over the whole batch.
at::Tensor mean_over_processes(const at::Tensor& sum, const at::Tensor& count);
at::Tensor mean_over_processes(const at::Tensor& sum, std::int64_t count);

/// The rows of all processes, by rank, with a gradient to this one's. Counts of rows may differ, the rest of the shape
/// may not.
struct Gathered {
  at::Tensor rows;         ///< [Σ N, …]
  std::int64_t first = 0;  ///< where this process's begin
};
Gathered gather_rows(const at::Tensor& x);

}  // namespace cmunet::nn
