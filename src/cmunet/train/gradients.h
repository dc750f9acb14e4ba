// SPDX-License-Identifier: Apache-2.0
// Gradients averaged over processes while the backward pass still runs.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>
#include <torch/nn/module.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "cmunet/nn/communicator.h"

namespace cmunet::train {

/// Hooks into the parameters of a module. Gradients are put side by side in flat buffers, last layers first, which is
/// about the order in which they come; the sum of a buffer over processes starts when the last of its gradients is
/// there, and buffers start in the same order everywhere. With a single process it does nothing.
class GradientAverager {
 public:
  /// Works with the communicator of the calling thread. `module` must live as long as this object.
  explicit GradientAverager(const torch::nn::Module& module);
  ~GradientAverager();
  GradientAverager(const GradientAverager&) = delete;
  GradientAverager& operator=(const GradientAverager&) = delete;

  /// The backward pass that follows is the last of the step.
  void start();
  /// Waits, and leaves in every parameter the mean over processes of its gradient. Parameters without a gradient keep
  /// none; these must be the same on every process. @throws Error kIo as the communicator.
  void finish();

 private:
  struct Bucket {
    std::vector<at::Tensor> parameters;
    std::vector<at::Tensor> places;  // views of `flat`, one per parameter, in its shape
    at::Tensor flat;
    std::size_t missing = 0;     // gradients that have not come yet in this step
    std::function<void()> wait;  // set while the sum runs
  };

  void watch(std::size_t bucket, const at::Tensor& parameter);
  void gradient_came(std::size_t bucket);
  void launch(Bucket& bucket);

  nn::Communicator& peers_;
  std::vector<Bucket> buckets_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;  // hold the hooks
  std::size_t next_ = 0;                                              // the bucket that is launched next
  bool is_last_pass_ = false;
};

}  // namespace cmunet::train
