// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/precision.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <array>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::train {
namespace {

// PyTorch 2.4 replaced one function per device by one that takes the device.
void set_autocast(bool cuda, bool enabled, at::ScalarType type) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  const auto device = cuda ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_enabled(device, enabled);
  at::autocast::set_autocast_dtype(device, type);
#else
  if (cuda) {
    at::autocast::set_enabled(enabled);
    at::autocast::set_autocast_gpu_dtype(type);
  } else {
    at::autocast::set_cpu_enabled(enabled);
    at::autocast::set_autocast_cpu_dtype(type);
  }
#endif
}

constexpr int kMaxFailuresAtOne = 20;

constexpr std::array<std::pair<std::string_view, Precision>, 4> kPrecisionNames{
    {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}, {"fp64", Precision::kFp64}}};

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 2> kImageTypeNames{
    {{"fp32", at::kFloat}, {"fp16", at::kHalf}}};

}  // namespace

std::span<const std::pair<std::string_view, at::ScalarType>> image_type_names() { return kImageTypeNames; }

std::span<const std::pair<std::string_view, Precision>> precision_names() { return kPrecisionNames; }

std::string_view name_of(Precision precision) {
  return std::ranges::find(kPrecisionNames, precision, &std::pair<std::string_view, Precision>::second)->first;
}

void set_precision(torch::nn::Module& module, Precision precision) {
  if (precision != Precision::kFp64) return;
  // Module::to would turn counters into floating-point numbers as well.
  for (at::Tensor& parameter : module.parameters()) parameter.set_data(parameter.to(at::kDouble));
  for (at::Tensor& buffer : module.buffers()) buffer.set_data(with_precision(buffer, precision));
}

at::Tensor with_precision(const at::Tensor& x, Precision precision) {
  return precision == Precision::kFp64 && x.is_floating_point() ? x.to(at::kDouble) : x;
}

Precision measured_precision(Precision precision, at::Device device) {
  const bool is_short = precision == Precision::kBf16 || precision == Precision::kFp16;
  if (!is_short || device.is_cuda()) return precision;
  log_warning("the time is that of fp32; on a CPU, ", name_of(precision), " may take many times as long");
  return Precision::kFp32;
}

double activation_share(Precision precision, bool synchronised_norms) {
  if (precision == Precision::kFp64) return 2.0;
  const bool keeps_single = synchronised_norms && nn::communicator().size() > 1;
  return precision == Precision::kFp32 || keeps_single ? 1.0 : 0.5;
}

Autocast::Autocast(Precision precision, at::Device device)
    : on_(precision == Precision::kBf16 || precision == Precision::kFp16), cuda_(device.is_cuda()) {
  if (on_) set_autocast(cuda_, true, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
}

Autocast::~Autocast() {
  if (!on_) return;
  set_autocast(cuda_, false, cuda_ ? at::kHalf : at::kBFloat16);
  at::autocast::clear_cache();
}

bool LossScale::unscale(const std::vector<at::Tensor>& parameters) {
  if (!is_on_) return true;
  const torch::NoGradGuard no_grad;
  at::Tensor finite = torch::ones({}, torch::TensorOptions(at::kBool).device(parameters.front().device()));
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    parameter.grad().div_(scale_);
    finite = finite.logical_and(parameter.grad().isfinite().all());
  }
  if (!finite.item<bool>()) {
    failures_at_one_ = scale_ == 1 ? failures_at_one_ + 1 : 0;
    if (failures_at_one_ == kMaxFailuresAtOne) {
      throw Error(ErrorCode::kNumeric,
                  concat("[train] gradients were not finite in ", kMaxFailuresAtOne,
                         " steps, one after the other, though the loss was not scaled up any more"),
                  "lower the learning rate, or take fp32 or bf16; the last checkpoint is kept");
    }
    scale_ = std::max(1.0, scale_ / 2);
    good_steps_ = 0;
    return false;
  }
  failures_at_one_ = 0;
  if (++good_steps_ == 2000) {
    scale_ *= 2;
    good_steps_ = 0;
  }
  return true;
}

Json LossScale::state() const { return {{"scale", scale_}, {"good_steps", good_steps_}}; }

void LossScale::set_state(const Json& state) {
  const bool is_scale_alone = state.is_number();
  scale_ = is_scale_alone ? state.get<double>() : json_get<double>(state, "scale", "state");
  good_steps_ = is_scale_alone ? 0 : json_get<int>(state, "good_steps", "state");
}

void add_skipped(Means& means, const LossScale& scale, bool was_skipped) {
  if (scale.is_on()) means.add("skipped_steps", was_skipped ? 1 : 0);
}

}  // namespace cmunet::train
