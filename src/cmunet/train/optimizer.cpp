// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/optimizer.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "cmunet/base/error.h"

namespace cmunet::train {
namespace {

bool decays(const std::string& name, const at::Tensor& parameter, const AdamWOptions& options) {
  if (name.ends_with("bias")) return false;
  return parameter.dim() > 1 || options.decay_norms;
}

}  // namespace

AdamW::AdamW(const torch::nn::Module& module, const AdamWOptions& options) : options_(options) {
  for (const auto& item : module.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    slots_.push_back({item.key(), parameter, torch::zeros_like(parameter, at::MemoryFormat::Contiguous),
                      torch::zeros_like(parameter, at::MemoryFormat::Contiguous),
                      decays(item.key(), parameter, options) ? options.weight_decay : 0.0});
  }
}

void AdamW::step(double lr) {
  const torch::NoGradGuard no_grad;
  ++step_;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(step_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(step_));
  for (Slot& slot : slots_) {
    const at::Tensor& gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    if (slot.weight_decay != 0) slot.parameter.mul_(1 - lr * slot.weight_decay);
    slot.m.lerp_(gradient, 1 - options_.beta1);
    slot.v.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const at::Tensor denominator = slot.v.sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
    slot.parameter.addcdiv_(slot.m, denominator, -lr / correction1);
  }
}

void AdamW::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (const Slot& slot : slots_) {
    tensors.emplace_back("optimizer.m." + slot.name, slot.m);
    tensors.emplace_back("optimizer.v." + slot.name, slot.v);
  }
  return tensors;
}

void AdamW::load(const SafetensorsFile& file, std::int64_t step_count) {
  for (const auto& [name, tensor] : state()) {
    const TensorRef& ref = file.at(name);
    CMUNET_CHECK(ref.shape == tensor.sizes().vec(), ErrorCode::kCorrupt, "[optimizer] ", name, " has another shape");
    at::Tensor target = tensor;
    target.copy_(to_tensor(ref));
  }
  step_ = step_count;
}

double learning_rate(const ScheduleOptions& s, std::int64_t step) {
  if (step < s.warmup_steps) {
    const double progress = static_cast<double>(step) / static_cast<double>(s.warmup_steps);
    return s.peak_lr * (s.warmup_start_factor + (1 - s.warmup_start_factor) * progress);
  }
  if (s.kind == Schedule::kConstant) return s.peak_lr;
  const auto span = static_cast<double>(std::max<std::int64_t>(1, s.total_steps - s.warmup_steps));
  const double progress = std::min(1.0, static_cast<double>(step - s.warmup_steps) / span);
  return s.min_lr + (s.peak_lr - s.min_lr) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace cmunet::train
