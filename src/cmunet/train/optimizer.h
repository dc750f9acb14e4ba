// SPDX-License-Identifier: Apache-2.0
// AdamW (Loshchilov & Hutter 2019) whose whole state can be saved, and the learning-rate schedules.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cmunet/train/tensor_io.h"

namespace cmunet::train {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< 0 makes it plain Adam
  /// Decay batch-norm weights too, as the reference code does; biases never decay.
  bool decay_norms = false;
};

/// Decoupled weight decay, bias correction, as torch.optim.AdamW. Only parameters with requires_grad are optimised.
class AdamW {
 public:
  AdamW(const torch::nn::Module& module, const AdamWOptions& options);

  /// One update with learning rate `lr`; parameters without a gradient are left alone.
  void step(double lr);
  void zero_grad();

  /// First and second moments ("optimizer.m.<name>", "optimizer.v.<name>"); shared, not copied.
  NamedTensors state() const;
  std::int64_t step_count() const { return step_; }
  /// @throws Error kCorrupt when a moment is missing or has another shape.
  void load(const SafetensorsFile& file, std::int64_t step_count);

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, m, v;
    double weight_decay;
  };
  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::int64_t step_ = 0;
};

enum class Schedule { kConstant, kCosine };

/// Learning rate at a step: linear warm-up from `warmup_start_factor`·peak over `warmup_steps`, then constant or half a
/// cosine down to `min_lr` at `total_steps`. Counted per iteration, from 0.
struct ScheduleOptions {
  Schedule kind = Schedule::kCosine;
  double peak_lr = 1e-3;
  double min_lr = 0;
  double warmup_start_factor = 1e-4;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 1;
};
double learning_rate(const ScheduleOptions& schedule, std::int64_t step);

}  // namespace cmunet::train
