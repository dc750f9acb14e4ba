// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/optimizer.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "cmunet/base/error.h"
#include "cmunet/train/fused_adamw.h"

namespace cmunet::train {
namespace {

constexpr double kAdamEpsilon = 1e-8;
constexpr double kLambEpsilon = 1e-6;

constexpr std::array<std::pair<std::string_view, OptimizerKind>, 3> kOptimizerNames{
    {{"adamw", OptimizerKind::kAdamW}, {"lamb", OptimizerKind::kLamb}, {"sgd", OptimizerKind::kSgd}}};

bool decays(const std::string& name, const at::Tensor& parameter, const OptimizerOptions& options) {
  if (name.ends_with("bias")) return false;
  return parameter.dim() > 1 || options.decay_norms;
}

}  // namespace

std::span<const std::pair<std::string_view, OptimizerKind>> optimizer_names() { return kOptimizerNames; }

Optimizer::Optimizer(const torch::nn::Module& module, const OptimizerOptions& options) : options_(options) {
  const auto zeros = [](const at::Tensor& like) { return torch::zeros_like(like); };  // of its layout too
  for (const auto& item : module.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    slots_.push_back({item.key(), parameter, zeros(parameter),
                      options.kind == OptimizerKind::kSgd ? at::Tensor() : zeros(parameter),
                      decays(item.key(), parameter, options)});
  }
}

void Optimizer::step(double lr, std::optional<double> weight_decay) {
  const torch::NoGradGuard no_grad;
  ++step_;
  if (options_.max_gradient_norm > 0) clip();
  const double full_decay = weight_decay.value_or(options_.weight_decay);
  if (options_.kind == OptimizerKind::kAdamW) return step_adamw(lr, full_decay);
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    const double decay = slot.decays ? full_decay : 0.0;
    if (options_.kind == OptimizerKind::kLamb) {
      step_lamb(slot, lr, decay);
    } else {
      step_sgd(slot, lr, decay);
    }
  }
}

void Optimizer::clip() const {
  std::vector<at::Tensor> squares;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) squares.push_back(slot.parameter.grad().square().sum());
  }
  if (squares.empty()) return;
  const at::Tensor factor = torch::stack(squares).sum().sqrt().div_(options_.max_gradient_norm).clamp_min_(1);
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().div_(factor);
  }
}

void Optimizer::update_moments(Slot& slot) const {
  const at::Tensor& gradient = slot.parameter.grad();
  slot.m.lerp_(gradient, 1 - options_.beta1);
  slot.v.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
}

// What one pass over memory cannot do is done for all tensors together: on a GPU a few kernels instead of hundreds.
void Optimizer::step_adamw(double lr, double weight_decay) {
  for (const bool decays : {false, true}) {
    const double decay = decays ? weight_decay : 0.0;
    const AdamwStep fused{lr, decay, options_.beta1, options_.beta2, kAdamEpsilon, step_};
    std::vector<at::Tensor> parameters, gradients, m, v;
    for (const Slot& slot : slots_) {
      const at::Tensor& gradient = slot.parameter.grad();
      if (slot.decays != decays || !gradient.defined()) continue;
      if (options_.fused && fused_adamw(fused, slot.parameter, gradient, slot.m, slot.v)) continue;
      parameters.push_back(slot.parameter);
      gradients.push_back(gradient);
      m.push_back(slot.m);
      v.push_back(slot.v);
    }
    if (parameters.empty()) continue;
    const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(step_));
    const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(step_));
    if (decay != 0) at::_foreach_mul_(parameters, 1 - lr * decay);
    at::_foreach_add_(m, at::_foreach_sub(gradients, m), 1 - options_.beta1);
    at::_foreach_mul_(v, options_.beta2);
    at::_foreach_addcmul_(v, gradients, gradients, 1 - options_.beta2);
    const std::vector<at::Tensor> denominators = at::_foreach_sqrt(v);
    at::_foreach_div_(denominators, std::sqrt(correction2));
    at::_foreach_add_(denominators, kAdamEpsilon);
    at::_foreach_addcdiv_(parameters, m, denominators, -lr / correction1);
  }
}

void Optimizer::step_lamb(Slot& slot, double lr, double decay) const {
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(step_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(step_));
  update_moments(slot);
  at::Tensor update = (slot.m / correction1).div_(slot.v.sqrt().div_(std::sqrt(correction2)).add_(kLambEpsilon));
  if (decay != 0) {
    update.add_(slot.parameter, decay);
    const at::Tensor weight_norm = slot.parameter.norm(), update_norm = update.norm();
    const at::Tensor trust = torch::where((weight_norm > 0).logical_and(update_norm > 0), weight_norm / update_norm,
                                          torch::ones_like(weight_norm));
    update.mul_(trust);
  }
  slot.parameter.sub_(update, lr);
}

void Optimizer::step_sgd(Slot& slot, double lr, double decay) const {
  slot.m.mul_(options_.momentum).add_(slot.parameter.grad()).add_(slot.parameter, decay);
  slot.parameter.sub_(slot.m, lr);
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
}

NamedTensors Optimizer::state() const {
  NamedTensors tensors;
  for (const Slot& slot : slots_) {
    tensors.emplace_back("optimizer.m." + slot.name, slot.m);
    if (slot.v.defined()) tensors.emplace_back("optimizer.v." + slot.name, slot.v);
  }
  return tensors;
}

void Optimizer::load(const SafetensorsFile& file, std::int64_t step_count) {
  for (const auto& [name, tensor] : state()) {
    const TensorRef& ref = file.at(name);
    CMUNET_CHECK(ref.shape == tensor.sizes().vec(), ErrorCode::kCorrupt, "[optimizer] ", name, " has another shape");
    at::Tensor target = tensor;
    target.copy_(to_tensor(ref));
  }
  step_ = step_count;
}

double cosine_between(double start, double end, std::int64_t step, std::int64_t total_steps) {
  const auto span = static_cast<double>(std::max<std::int64_t>(1, total_steps));
  const double progress = std::min(1.0, static_cast<double>(step) / span);
  return end + (start - end) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double learning_rate(const ScheduleOptions& s, std::int64_t step) {
  if (step < s.warmup_steps) {
    const double progress = static_cast<double>(step) / static_cast<double>(s.warmup_steps);
    return s.peak_lr * (s.warmup_start_factor + (1 - s.warmup_start_factor) * progress);
  }
  const std::int64_t after = step - s.warmup_steps;
  switch (s.kind) {
    case Schedule::kConstant: return s.peak_lr;
    case Schedule::kCosine: return cosine_between(s.peak_lr, s.min_lr, after, s.total_steps - s.warmup_steps);
    case Schedule::kHalve: return std::ldexp(s.peak_lr, static_cast<int>(-(after / s.halve_every_steps)));
  }
  throw Error(ErrorCode::kInternal, "[learning_rate] unknown schedule");
}

}  // namespace cmunet::train
