// SPDX-License-Identifier: Apache-2.0
// Mixed precision: autocast for the forward pass, and the loss scale that half precision needs.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <torch/nn/module.h>

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/train/pretrain.h"
#include "cmunet/train/session.h"

namespace cmunet::train {

/// Names of the types in which a store's images wait in memory: fp32, or fp16 for half of it.
std::span<const std::pair<std::string_view, at::ScalarType>> image_type_names();

/// Brings the weights and buffers of `module` to 64 bits for kFp64.
void set_precision(torch::nn::Module& module, Precision precision);
/// `x` in 64 bits when it is a floating-point tensor and the precision kFp64, else as it is.
at::Tensor with_precision(const at::Tensor& x, Precision precision);

/// While it lives, operations that gain from it run in bf16 or fp16 on the device; does nothing for fp32 and fp64.
class Autocast {
 public:
  Autocast(Precision precision, at::Device device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
  bool cuda_;
};

/// In which --dry-run measures a step: that of the run, but 32 bits instead of bf16 and fp16 on a CPU, with a warning.
/// Where a processor has no instructions for them, one step of a large network takes many minutes.
Precision measured_precision(Precision precision, at::Device device);

/// Size of activations in the forward pass over that in 32 bits, which batch norms over several processes keep theirs
/// in.
double activation_share(Precision precision, bool synchronised_norms);

/// Dynamic loss scaling: halves on overflow, down to 1, and skips that step, doubles after 2000 good steps. 1 unless
/// fp16.
class LossScale {
 public:
  explicit LossScale(Precision precision) : is_on_(precision == Precision::kFp16), scale_(is_on_ ? 65536.0 : 1.0) {}
  bool is_on() const { return is_on_; }
  double value() const { return scale_; }
  /// Divides the gradients by the scale. @return false when one is not finite: skip the optimiser step.
  /// @throws Error kNumeric when that was so for many steps although the scale is 1: nothing more will be learnt.
  bool unscale(const std::vector<at::Tensor>& parameters);
  Json state() const;
  /// Takes what `state` gave, or the scale alone. @throws Error kCorrupt.
  void set_state(const Json& state);

 private:
  bool is_on_;
  double scale_;
  int good_steps_ = 0;
  int failures_at_one_ = 0;  // one after the other
};

/// Adds a step to the mean "skipped_steps", the share of steps that overflow made the optimiser skip; only where the
/// loss is scaled.
void add_skipped(Means& means, const LossScale& scale, bool was_skipped);

}  // namespace cmunet::train
