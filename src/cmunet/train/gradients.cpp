// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/gradients.h"

#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/torch.h>

#include <ranges>

namespace cmunet::train {
namespace {

// Small enough that the first sums start early, large enough that latency does not count.
constexpr std::int64_t kBucketBytes = 8 << 20;

}  // namespace

GradientAverager::GradientAverager(const torch::nn::Module& module) : peers_(nn::communicator()) {
  if (peers_.size() == 1) return;
  std::int64_t bytes = kBucketBytes;
  const std::vector<at::Tensor> parameters = module.parameters();
  for (const at::Tensor& parameter : parameters | std::views::reverse) {
    if (!parameter.requires_grad()) continue;
    if (bytes >= kBucketBytes) {
      buckets_.emplace_back();
      bytes = 0;
    }
    buckets_.back().parameters.push_back(parameter);
    bytes += static_cast<std::int64_t>(parameter.nbytes());
  }
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    Bucket& bucket = buckets_[i];
    std::int64_t count = 0, first = 0;
    for (const at::Tensor& parameter : bucket.parameters) count += parameter.numel();
    bucket.flat = torch::zeros({count}, bucket.parameters[0].options().requires_grad(false));
    for (const at::Tensor& parameter : bucket.parameters) {
      // Laid out as the parameter, so that copies need not transpose.
      bucket.places.push_back(
          bucket.flat.narrow(0, first, parameter.numel()).as_strided(parameter.sizes(), parameter.strides()));
      first += parameter.numel();
      watch(i, parameter);
    }
  }
}

GradientAverager::~GradientAverager() = default;

void GradientAverager::watch(std::size_t bucket, const at::Tensor& parameter) {
  using torch::autograd::utils::LambdaPostHook;
  const auto& accumulator = accumulators_.emplace_back(torch::autograd::impl::grad_accumulator(parameter));
  accumulator->add_post_hook(
      std::make_unique<LambdaPostHook>([this, bucket](const auto& outputs, const auto& /*inputs*/) {
        if (is_last_pass_) gradient_came(bucket);
        return outputs;
      }));
}

void GradientAverager::start() {
  is_last_pass_ = true;
  next_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
}

void GradientAverager::gradient_came(std::size_t bucket) {
  --buckets_[bucket].missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) launch(buckets_[next_++]);
}

void GradientAverager::launch(Bucket& bucket) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < bucket.parameters.size(); ++i) {
    const at::Tensor& gradient = bucket.parameters[i].grad();
    if (gradient.defined()) {
      bucket.places[i].copy_(gradient);
    } else {
      bucket.places[i].zero_();
    }
  }
  bucket.wait = peers_.start_sum(bucket.flat);
}

void GradientAverager::finish() {
  const torch::NoGradGuard no_grad;
  is_last_pass_ = false;
  const double size = peers_.size();
  while (next_ < buckets_.size()) launch(buckets_[next_++]);  // parameters that the loss does not reach
  for (Bucket& bucket : buckets_) {
    bucket.wait();
    bucket.flat.div_(size);
    for (std::size_t i = 0; i < bucket.parameters.size(); ++i) {
      if (bucket.parameters[i].grad().defined()) bucket.parameters[i].mutable_grad().copy_(bucket.places[i]);
    }
  }
}

}  // namespace cmunet::train
