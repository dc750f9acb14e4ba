// SPDX-License-Identifier: Apache-2.0
// A communicator between threads of one process: what several processes do can be tested within one.
#pragma once

#include <barrier>
#include <memory>
#include <vector>

#include "cmunet/nn/communicator.h"

namespace cmunet::nn {

/// `size` members that meet in every operation; each is used by one thread. A thread that leaves early keeps the others
/// waiting for ever.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size);
  ~ThreadGroup();
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  Communicator& member(int rank);

 private:
  class Member;
  std::barrier<> meeting_;
  std::vector<at::Tensor> given_;  // by rank, while an operation runs
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace cmunet::nn
