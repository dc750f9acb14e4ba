// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/thread_group.h"

#include <torch/torch.h>

namespace cmunet::nn {

class ThreadGroup::Member : public Communicator {
 public:
  Member(ThreadGroup& group, int rank) : group_(group), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_.given_.size()); }

  std::function<void()> start_sum(const at::Tensor& x) override {
    x.detach().copy_(gather(x).sum(0));
    return [] {};
  }

  at::Tensor gather(const at::Tensor& x) override {
    group_.given_[static_cast<std::size_t>(rank_)] = x.detach();
    group_.meeting_.arrive_and_wait();
    at::Tensor all = torch::stack(group_.given_);
    group_.meeting_.arrive_and_wait();  // nobody writes to what others still read
    return all;
  }

  void broadcast(const at::Tensor& x) override { x.detach().copy_(gather(x)[0]); }

 private:
  ThreadGroup& group_;
  int rank_;
};

ThreadGroup::ThreadGroup(int size) : meeting_(size), given_(static_cast<std::size_t>(size)) {
  for (int rank = 0; rank < size; ++rank) members_.push_back(std::make_unique<Member>(*this, rank));
}

ThreadGroup::~ThreadGroup() = default;

Communicator& ThreadGroup::member(int rank) { return *members_.at(static_cast<std::size_t>(rank)); }

}  // namespace cmunet::nn
