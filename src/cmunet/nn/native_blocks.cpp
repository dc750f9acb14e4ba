// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/native_blocks.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/kernels/layers.h"
#include "cmunet/kernels/up_convolution.h"
#include "cmunet/kernels/winograd_convolution.h"
#include "cmunet/nn/native_double_conv.h"
#include "cmunet/nn/native_memory.h"

namespace cmunet::nn {
namespace {

using kernels::Map;
using kernels::Workers;
using torch::autograd::tensor_list;

std::int64_t padded(std::int64_t channels) {
  return static_cast<std::int64_t>(kernels::padded_channels(static_cast<std::size_t>(channels)));
}

// Zeros behind the channels of dimension `dim` up to a whole number of panels.
at::Tensor pad(const at::Tensor& x, std::int64_t dim) {
  const std::int64_t missing = padded(x.size(dim)) - x.size(dim);
  if (missing == 0) return x;
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = missing;
  return torch::cat({x, torch::zeros(shape, x.options())}, dim);
}

// Channel counts of the inputs, whose concatenation a layer's weights expect without padding between them.
using Parts = std::vector<std::int64_t>;

Parts parts_of(const std::vector<at::Tensor>& inputs) {
  Parts parts;
  for (const at::Tensor& x : inputs) parts.push_back(x.size(1));
  return parts;
}

// A grey image keeps its single channel, unless somebody asks for its gradient.
bool is_grey(const std::vector<at::Tensor>& inputs) {
  return inputs.size() == 1 && inputs[0].size(1) == 1 && !(torch::GradMode::is_enabled() && inputs[0].requires_grad());
}

at::Tensor pad_weight(const at::Tensor& weight, const Parts& parts) {
  std::vector<at::Tensor> padded_parts;
  std::int64_t first = 0;
  for (const std::int64_t channels : parts) {
    padded_parts.push_back(pad(weight.narrow(1, first, channels), 1));
    first += channels;
  }
  return padded_parts.size() == 1 ? padded_parts[0] : torch::cat(padded_parts, 1);
}

ConvNormWeights weights_of(const ConvNorm& layer, const Parts& parts, bool grey) {
  const at::Tensor weight = pad(layer.conv.weight, 0);
  return {grey ? weight : pad_weight(weight, parts), pad(layer.conv.bias, 0), pad(layer.norm.weight, 0),
          pad(layer.norm.bias, 0), layer.norm.options.eps()};
}

void update_running(torch::nn::BatchNorm2dImpl& norm, const at::Tensor& bias, const at::Tensor& mean,
                    const at::Tensor& variance, double n) {
  CMUNET_CHECK(n > 1, ErrorCode::kInvalidArgument,
               "[batch norm] one value per channel has no variance; expected more images or larger ones");
  const torch::NoGradGuard no_grad;
  const double momentum = norm.options.momentum().value();
  const std::int64_t channels = norm.running_mean.size(0);
  norm.running_mean.lerp_(mean.narrow(0, 0, channels) + bias, momentum);  // the kernels leave the bias out
  norm.running_var.lerp_(variance.narrow(0, 0, channels) * (n / (n - 1)), momentum);
  norm.num_batches_tracked += 1;
}

at::Tensor without_padding(const at::Tensor& x, std::int64_t channels) {
  return !x.defined() || x.size(1) == channels ? x : x.narrow(1, 0, channels);
}

void infer_grey(const at::Tensor& grey, const at::Tensor& weight, const at::Tensor& bias, const Map<float>& output,
                const Workers& workers) {
  const at::Tensor taps = weight.flatten(1).t().contiguous();  // [9, out]
  const RowParts parts(readable(output));
  workers.run(parts.count(), [&](std::size_t index, std::size_t) {
    kernels::first_convolution(grey.data_ptr<float>(), taps.data_ptr<float>(), bias.data_ptr<float>(), true,
                               parts.part(index), output);
  });
}

// In evaluation mode batch norm is part of the convolution: one pass, with ReLU and pooling at its end.
BlockOutput infer(const std::vector<at::Tensor>& inputs, const ConvNorm& layer, bool grey, bool pool) {
  const Workers workers = torch_workers();
  const ConvNormWeights weights = weights_of(layer, parts_of(inputs), grey);
  const at::Tensor scale = weights.gamma / (pad(layer.norm.running_var, 0) + weights.epsilon).sqrt();
  const at::Tensor weight = (weights.weight * scale.view({-1, 1, 1, 1})).contiguous();
  const at::Tensor bias = (weights.bias - pad(layer.norm.running_mean, 0)) * scale + weights.beta;
  const at::Tensor& x = inputs[0];
  BlockOutput result{empty_map(x.size(0), weight.size(0), x.size(2), x.size(3)), {}};
  const Map<float> output = write_map(result.features);
  if (grey) {
    infer_grey(x.contiguous(), weight, bias, output, workers);
    return result;
  }
  std::vector<kernels::ConvolutionInput> maps;
  tensor_list memory;
  for (const at::Tensor& input : inputs) {
    memory.push_back(channels_last(pad(input, 1)));
    maps.push_back({read_map(memory.back()), {}});
  }
  kernels::Epilogue epilogue;
  epilogue.bias = bias.data_ptr<float>();
  if (pool) {
    result.pooled = empty_map(x.size(0), weight.size(0), x.size(2) / 2, x.size(3) / 2);
    epilogue.pooled = write_map(result.pooled);
  }
  const auto in = static_cast<std::size_t>(weight.size(1)), out = static_cast<std::size_t>(weight.size(0));
  const kernels::WinogradConvolution convolution({weight.data_ptr<float>(), out, in}, kernels::channel_positions(1, in),
                                                 {}, workers);
  const at::Tensor scratch = empty_floats(convolution.scratch_floats(readable(output), workers.threads));
  convolution.run(maps, {&output, 1}, epilogue, nullptr, scratch.data_ptr<float>(), workers);
  return result;
}

struct UpConvFunction : torch::autograd::Function<UpConvFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    const at::Tensor input = channels_last(x), filters = weight.contiguous(), start = bias.clone();
    const at::Tensor output = empty_map(x.size(0), weight.size(1), 2 * x.size(2), 2 * x.size(3));
    const kernels::UpConvolution convolution(filters.data_ptr<float>(), static_cast<std::size_t>(weight.size(0)),
                                             static_cast<std::size_t>(weight.size(1)),
                                             kernels::UpConvolution::Direction::kForward);
    convolution.run(read_map(input), start.data_ptr<float>(), write_map(output), torch_workers());
    ctx->save_for_backward({input, filters});
    return output;
  }

  static tensor_list backward(torch::autograd::AutogradContext* ctx, tensor_list gradients) {
    const tensor_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor gradient = channels_last(gradients[0]);
    const Workers workers = torch_workers();
    at::Tensor dx;
    if (ctx->needs_input_grad(0)) {
      dx = empty_map(x.size(0), x.size(1), x.size(2), x.size(3));
      const kernels::UpConvolution convolution(weight.data_ptr<float>(), static_cast<std::size_t>(weight.size(0)),
                                               static_cast<std::size_t>(weight.size(1)),
                                               kernels::UpConvolution::Direction::kInputGradient);
      convolution.run_input_gradient(read_map(gradient), write_map(dx), workers);
    }
    const at::Tensor dw = at::empty(weight.sizes(), at::kFloat), db = at::empty({weight.size(1)}, at::kFloat);
    kernels::up_convolution_weight_gradient(read_map(x), read_map(gradient), dw.data_ptr<float>(), db.data_ptr<float>(),
                                            workers);
    return {dx, dw, db};
  }
};

// PyTorch 2.4 replaced one function per device by one that takes the device.
bool is_autocast_on_cpu() {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(at::kCPU);
#else
  return at::autocast::is_cpu_enabled();
#endif
}

}  // namespace

bool native_applies(const at::Tensor& x, bool training) {
  const bool wants_gradient = torch::GradMode::is_enabled() && !training;
  return x.is_cpu() && x.scalar_type() == at::kFloat && !is_autocast_on_cpu() && !wants_gradient;
}

bool native_pays(std::int64_t in, std::int64_t out) {
  const auto whole = [](std::int64_t channels) { return channels == padded(channels); };
  return (in == 1 || whole(in)) && whole(out);
}

BlockOutput native_double_conv(const std::vector<at::Tensor>& inputs, ConvNorm first, ConvNorm second, bool pool,
                               Communicator& peers) {
  const std::int64_t middle = first.conv.weight.size(0), out = second.conv.weight.size(0);
  const Parts parts = parts_of(inputs);
  const bool grey = is_grey(inputs);
  if (!first.norm.is_training()) {
    const at::Tensor between = without_padding(infer(inputs, first, grey, false).features, middle);
    const BlockOutput result = infer({between}, second, false, pool);
    return {without_padding(result.features, out), without_padding(result.pooled, out)};
  }
  std::vector<at::Tensor> maps;
  for (const at::Tensor& x : inputs) maps.push_back(grey ? x : pad(x, 1));
  const TrainedBlock block =
      train_double_conv(maps, weights_of(first, parts, grey), weights_of(second, {middle}, false), pool, peers);
  update_running(first.norm, first.conv.bias, block.mean[0], block.variance[0], block.pixels);
  update_running(second.norm, second.conv.bias, block.mean[1], block.variance[1], block.pixels);
  return {without_padding(block.features, out), without_padding(block.pooled, out)};
}

at::Tensor native_up_conv(const at::Tensor& x, const torch::nn::ConvTranspose2dImpl& conv) {
  const at::Tensor weight = pad(pad(conv.weight, 0), 1);
  return without_padding(UpConvFunction::apply(pad(x, 1), weight, pad(conv.bias, 0)), conv.weight.size(1));
}

}  // namespace cmunet::nn
