// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/batch_norm.h"

#include <torch/torch.h>

#include "cmunet/nn/exact.h"

namespace cmunet::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

std::vector<std::int64_t> all_but_channels(const at::Tensor& x) {
  return x.dim() == 2 ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>{0, 2, 3};
}

// [C] to the rank of x.
at::Tensor per_channel(const at::Tensor& values, const at::Tensor& x) {
  return x.dim() == 2 ? values.view({1, -1}) : values.view({1, -1, 1, 1});
}

BatchStatistics whole_batch(const at::Tensor& x) {
  const auto [variance, mean] = torch::var_mean(x, all_but_channels(x), /*unbiased=*/false);
  const at::Tensor count = torch::full({1}, static_cast<double>(x.numel() / x.size(1)), mean.options());
  return over_processes({mean, variance, count}, communicator());
}

struct Normalise : torch::autograd::Function<Normalise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& mean, const at::Tensor& variance,
                            const at::Tensor& count, double epsilon) {
    const at::Tensor inverse_sd = torch::rsqrt(variance + epsilon);
    context->save_for_backward({x, weight, mean, inverse_sd, count});
    context->saved_data["peers"] = reinterpret_cast<std::int64_t>(&communicator());
    return torch::batch_norm(x, weight, bias, mean, variance, /*training=*/false, 0.0, epsilon, false);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &mean = saved[2], &inverse_sd = saved[3];
    const at::Tensor& dy = gradients[0];
    const std::vector<std::int64_t> dims = all_but_channels(x);
    const at::Tensor normalised = (x - per_channel(mean, x)) * per_channel(inverse_sd, x);
    const at::Tensor dy_sum = dy.sum(dims), product_sum = (dy * normalised).sum(dims);
    // The statistics hang on every process's images, and every process's images on the statistics.
    const at::Tensor sums = torch::stack({dy_sum, product_sum});
    reinterpret_cast<Communicator*>(context->saved_data["peers"].toInt())->sum(sums);
    const at::Tensor means = sums / saved[4];
    const at::Tensor dx =
        (dy - per_channel(means[0], x) - normalised * per_channel(means[1], x)) * per_channel(weight * inverse_sd, x);
    return {dx, product_sum, dy_sum, {}, {}, {}, {}};
  }
};

}  // namespace

BatchStatistics over_processes(const BatchStatistics& own, Communicator& peers) {
  const at::Tensor all = peers.gather(torch::cat({own.mean, own.variance, own.count}));  // [processes, 2C + 1]
  const std::int64_t channels = own.mean.size(0);
  const at::Tensor means = all.narrow(1, 0, channels), variances = all.narrow(1, channels, channels);
  const at::Tensor counts = all.narrow(1, 2 * channels, 1);
  BatchStatistics whole;
  whole.count = counts.sum(0);
  const at::Tensor weights = counts / whole.count;
  whole.mean = (means * weights).sum(0);
  whole.variance = ((variances + (means - whole.mean).square()) * weights).sum(0);
  return whole;
}

template <typename Norm>
at::Tensor batch_norm(Norm& norm, const at::Tensor& x) {
  if (communicator().size() == 1 || !norm.is_training()) return norm.forward(x);
  const at::Tensor values = at_least_single(x);  // half precision cannot count
  BatchStatistics whole;
  {
    const torch::NoGradGuard no_grad;
    whole = whole_batch(values);
    const double momentum = norm.options.momentum().value();
    norm.running_mean.lerp_(whole.mean, momentum);
    norm.running_var.lerp_(whole.variance * (whole.count / (whole.count - 1)), momentum);
    norm.num_batches_tracked += 1;
  }
  return Normalise::apply(values, norm.weight, norm.bias, whole.mean, whole.variance, whole.count, norm.options.eps())
      .to(x.scalar_type());
}

template at::Tensor batch_norm(torch::nn::BatchNorm1dImpl& norm, const at::Tensor& x);
template at::Tensor batch_norm(torch::nn::BatchNorm2dImpl& norm, const at::Tensor& x);

}  // namespace cmunet::nn
