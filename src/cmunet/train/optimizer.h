// SPDX-License-Identifier: Apache-2.0
// Optimisers whose whole state can be saved, and the learning-rate schedules.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cmunet/train/tensor_io.h"

namespace cmunet::train {

/// How gradients become steps.
enum class OptimizerKind {
  kAdamW,  ///< Loshchilov & Hutter 2019, as torch.optim.AdamW; epsilon 1e-8
  kLamb,   ///< You et al. 2020: Adam's step, as long as the weights it moves; epsilon 1e-6 outside the root
  kSgd,    ///< with momentum and coupled weight decay, as torch.optim.SGD
};
std::span<const std::pair<std::string_view, OptimizerKind>> optimizer_names();

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double beta1 = 0.9;         ///< of AdamW and LAMB
  double beta2 = 0.999;       ///< of AdamW and LAMB
  double momentum = 0.9;      ///< of SGD
  double weight_decay = 0.0;  ///< never on biases; 0 makes AdamW plain Adam
  /// Decay batch-norm weights and other vectors too, as the reference code does.
  bool decay_norms = false;
  /// When positive, all gradients together are shortened to this norm before they are used.
  double max_gradient_norm = 0;
  /// AdamW in one pass over memory where `fused_adamw` can; else, and without, by LibTorch's operations.
  bool fused = true;
};

/// Only parameters with requires_grad are optimised. LAMB's update with bias-corrected moments m̂, v̂ is
/// u = m̂ / (√v̂ + ε) + λ·w, and w ← w − lr · (‖w‖ / ‖u‖) · u for every tensor that decays. The trust ratio ‖w‖ / ‖u‖
/// is 1 where either is 0, and for tensors that do not decay.
class Optimizer {
 public:
  Optimizer(const torch::nn::Module& module, const OptimizerOptions& options);

  /// One update with learning rate `lr`; parameters without a gradient are left alone. Clipping changes gradients.
  /// @param weight_decay  takes the place of the options' for this step
  void step(double lr, std::optional<double> weight_decay = {});
  void zero_grad();

  /// Moments "optimizer.m.<name>" and, but for SGD, "optimizer.v.<name>"; shared, not copied.
  NamedTensors state() const;
  std::int64_t step_count() const { return step_; }
  /// @throws Error kCorrupt when a moment is missing or has another shape.
  void load(const SafetensorsFile& file, std::int64_t step_count);

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, m, v;  // v is undefined for SGD
    bool decays;
  };
  void clip() const;
  void step_adamw(double lr, double weight_decay);
  void step_lamb(Slot& slot, double lr, double decay) const;
  void step_sgd(Slot& slot, double lr, double decay) const;
  void update_moments(Slot& slot) const;

  OptimizerOptions options_;
  std::vector<Slot> slots_;
  std::int64_t step_ = 0;
};

enum class Schedule {
  kConstant,
  kCosine,  ///< half a cosine from the peak to `min_lr` at `total_steps`
  kHalve,   ///< half as much after every `halve_every_steps`
};

/// Learning rate at a step, counted per iteration from 0: linear warm-up from `warmup_start_factor` · peak over
/// `warmup_steps`, then the schedule.
struct ScheduleOptions {
  Schedule kind = Schedule::kCosine;
  double peak_lr = 1e-3;
  double min_lr = 0;
  double warmup_start_factor = 1e-4;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 1;
  std::int64_t halve_every_steps = 1;
};
double learning_rate(const ScheduleOptions& schedule, std::int64_t step);

/// Half a cosine from `start` at step 0 to `end` at `total_steps`: SparK's weight decay.
double cosine_between(double start, double end, std::int64_t step, std::int64_t total_steps);

}  // namespace cmunet::train
