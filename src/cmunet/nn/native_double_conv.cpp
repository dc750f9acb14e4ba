// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/native_double_conv.h"

#include <torch/torch.h>

#include <cmath>
#include <optional>

#include "cmunet/kernels/batch_norm.h"
#include "cmunet/kernels/layers.h"
#include "cmunet/kernels/weight_gradient.h"
#include "cmunet/kernels/winograd_convolution.h"
#include "cmunet/nn/batch_norm.h"
#include "cmunet/nn/native_memory.h"

namespace cmunet::nn {
namespace {

using kernels::ConvolutionInput;
using kernels::Map;
using kernels::MomentBlocks;
using kernels::RowRange;
using kernels::Workers;
using torch::autograd::tensor_list;

// Rows of a [rows, C] tensor of what a batch norm is made of; each begins at a multiple of 64 bytes.
enum NormRow : std::int64_t { kMean, kDeviation, kScale, kShift, kNormRows };

const float* row(const at::Tensor& norm, NormRow index) {
  return norm.data_ptr<float>() + static_cast<std::int64_t>(index) * norm.size(1);
}

kernels::Rectifier rectifier_of(const at::Tensor& norm) { return {row(norm, kScale), row(norm, kShift)}; }

// Of the whole batch, in double precision.
BatchStatistics statistics_of(const MomentBlocks& moments, Communicator& peers) {
  const MomentBlocks::Statistics own = moments.statistics();
  const at::Tensor count = torch::full({1}, static_cast<double>(own.pixels), at::kDouble);
  return over_processes({torch::tensor(own.mean, at::kDouble), torch::tensor(own.variance, at::kDouble), count}, peers);
}

// mean, √(variance + ε), γ / deviation, β − mean · scale.
at::Tensor make_norm(const BatchStatistics& statistics, const at::Tensor& gamma, const at::Tensor& beta,
                     double epsilon) {
  const at::Tensor deviation = (statistics.variance + epsilon).sqrt(), scale = gamma.to(at::kDouble) / deviation;
  at::Tensor norm = at::empty({kNormRows, gamma.size(0)}, at::kFloat);
  norm[kMean] = statistics.mean;
  norm[kDeviation] = deviation;
  norm[kScale] = scale;
  norm[kShift] = beta.to(at::kDouble) - statistics.mean * scale;
  return norm;
}

std::vector<ConvolutionInput> inputs_of(const tensor_list& inputs) {
  std::vector<ConvolutionInput> maps;
  for (const at::Tensor& x : inputs) maps.push_back({read_map(x), {}});
  return maps;
}

bool reads_grey(const at::Tensor& weight) { return weight.size(1) == 1; }

// [out, 1, 3, 3] <-> [9, out].
at::Tensor taps_first(const at::Tensor& weight) { return weight.flatten(1).t().contiguous(); }

// A convolution without its bias, which batch norm takes away, and the moments of its output.
void convolve(const std::vector<ConvolutionInput>& inputs, const at::Tensor& weight, const Map<float>& output,
              std::optional<MomentBlocks>& moments, const Workers& workers) {
  const auto out = static_cast<std::size_t>(weight.size(0)), in = static_cast<std::size_t>(weight.size(1));
  const kernels::WinogradConvolution convolution({weight.data_ptr<float>(), out, in}, kernels::channel_positions(1, in),
                                                 {}, workers);
  const at::Tensor scratch = empty_floats(convolution.scratch_floats(readable(output), workers.threads));
  convolution.run(inputs, {&output, 1}, {}, &moments, scratch.data_ptr<float>(), workers);
}

void convolve_grey(const at::Tensor& grey, const at::Tensor& weight, const Map<float>& output,
                   std::optional<MomentBlocks>& moments, const Workers& workers) {
  const at::Tensor taps = taps_first(weight), zero = at::zeros({weight.size(0)}, at::kFloat);
  const RowParts parts(readable(output));
  moments.emplace(parts.count(), output.channels);
  workers.run(parts.count(), [&](std::size_t index, std::size_t) {
    const RowRange rows = parts.part(index);
    kernels::first_convolution(grey.data_ptr<float>(), taps.data_ptr<float>(), zero.data_ptr<float>(), false, rows,
                               output);
    kernels::moments(readable(output), rows, moments->block(index, (rows.end - rows.begin) * output.width));
  });
}

// The gradients of a convolution's inputs from its output's; with an epilogue only for a single input.
void input_gradients(const at::Tensor& gradient, const at::Tensor& weight, std::span<const Map<float>> results,
                     const kernels::Epilogue& epilogue, std::optional<MomentBlocks>* moments, const Workers& workers) {
  const auto out = static_cast<std::size_t>(weight.size(0)), in = static_cast<std::size_t>(weight.size(1));
  const kernels::WinogradConvolution convolution({weight.data_ptr<float>(), out, in, true},
                                                 kernels::channel_positions(1, out), {}, workers);
  const Map<const float> source = read_map(gradient);
  const at::Tensor scratch = empty_floats(convolution.scratch_floats(source, workers.threads));
  const ConvolutionInput input{source, {}};
  convolution.run({&input, 1}, results, epilogue, moments, scratch.data_ptr<float>(), workers);
}

at::Tensor weight_gradient(const std::vector<ConvolutionInput>& inputs, const at::Tensor& gradient,
                           const at::Tensor& weight, const Workers& workers) {
  const Map<const float> source = read_map(gradient);
  const kernels::WeightGradient layer(static_cast<std::size_t>(weight.size(1)),
                                      static_cast<std::size_t>(weight.size(0)), source.tiles(), workers.threads);
  const at::Tensor scratch = empty_floats(layer.scratch_floats());
  at::Tensor result = at::empty(weight.sizes(), at::kFloat);
  layer.run(inputs, source, result.data_ptr<float>(), scratch.data_ptr<float>(), workers);
  return result;
}

at::Tensor grey_weight_gradient(const at::Tensor& grey, const at::Tensor& gradient, const Workers& workers) {
  const Map<const float> source = read_map(gradient);
  const RowParts parts(source);
  const at::Tensor sums = at::empty({static_cast<std::int64_t>(parts.count()), 9, gradient.size(1)}, at::kFloat);
  workers.run(parts.count(), [&](std::size_t index, std::size_t) {
    kernels::first_convolution_gradient(grey.data_ptr<float>(), source, parts.part(index),
                                        sums.data_ptr<float>() + index * 9 * source.channels);
  });
  return sums.to(at::kDouble).sum(0).t().reshape({-1, 1, 3, 3}).to(at::kFloat);  // in the parts' order
}

// ∇γ, ∇β, and per channel what the input's gradient is made of.
struct NormBackward {
  at::Tensor gamma, beta, offset, slope;
  // The statistics hang on every process's pixels, and every process's pixels on the statistics.
  NormBackward(const MomentBlocks::Totals& totals, const at::Tensor& norm, double pixels, Communicator& peers) {
    const at::Tensor deviation = norm[kDeviation].to(at::kDouble), scale = norm[kScale].to(at::kDouble);
    const at::Tensor sums =
        torch::stack({torch::tensor(totals.sum, at::kDouble), torch::tensor(totals.product, at::kDouble)});
    beta = sums[0].to(at::kFloat);
    gamma = (sums[1] / deviation).to(at::kFloat);
    peers.sum(sums);
    offset = (scale * sums[0] / pixels).to(at::kFloat);
    slope = (scale * sums[1] / (deviation * deviation * pixels)).to(at::kFloat);
  }
};

// What `forward` returns, by place.
enum Output : std::size_t { kFeatures, kMean1, kVariance1, kMean2, kVariance2, kPixels, kPooled };

// The gradient of a batch norm's input.
void norm_backward(const at::Tensor& y, const at::Tensor& norm, const kernels::RectifiedGradient& gradient,
                   const NormBackward& backward, const at::Tensor& result, const Workers& workers) {
  const Map<const float> x = read_map(y);
  const RowParts parts(x);
  workers.run(parts.count(), [&](std::size_t index, std::size_t) {
    kernels::norm_gradient(x, rectifier_of(norm), gradient,
                           {row(norm, kMean), backward.offset.data_ptr<float>(), backward.slope.data_ptr<float>()},
                           parts.part(index), write_map(result));
  });
}

struct DoubleConvFunction : torch::autograd::Function<DoubleConvFunction> {
  // The last output only when it is wanted.
  static tensor_list forward(torch::autograd::AutogradContext* ctx, at::TensorList x, const at::Tensor& w1,
                             [[maybe_unused]] const at::Tensor& b1, const at::Tensor& g1, const at::Tensor& be1,
                             const at::Tensor& w2, [[maybe_unused]] const at::Tensor& b2, const at::Tensor& g2,
                             const at::Tensor& be2, double epsilon1, double epsilon2, bool pool, Communicator* peers) {
    ctx->set_materialize_grads(false);
    const Workers workers = torch_workers();
    const at::Tensor weight1 = w1.contiguous(), weight2 = w2.contiguous();
    const at::Tensor y1 = empty_map(x[0].size(0), w1.size(0), x[0].size(2), x[0].size(3));
    const at::Tensor y2 = empty_map(x[0].size(0), w2.size(0), x[0].size(2), x[0].size(3));
    std::optional<MomentBlocks> moments;
    tensor_list inputs;
    for (const at::Tensor& part : x) inputs.push_back(reads_grey(w1) ? part.contiguous() : channels_last(part));
    if (reads_grey(w1)) {
      convolve_grey(inputs[0], weight1, write_map(y1), moments, workers);
    } else {
      convolve(inputs_of(inputs), weight1, write_map(y1), moments, workers);
    }
    const BatchStatistics statistics1 = statistics_of(*moments, *peers);
    const at::Tensor norm1 = make_norm(statistics1, g1, be1, epsilon1);
    convolve({{read_map(y1), rectifier_of(norm1)}}, weight2, write_map(y2), moments, workers);
    const BatchStatistics statistics2 = statistics_of(*moments, *peers);
    const at::Tensor norm2 = make_norm(statistics2, g2, be2, epsilon2);

    tensor_list outputs{empty_map(y2.size(0), y2.size(1), y2.size(2), y2.size(3))};
    for (const BatchStatistics& s : {statistics1, statistics2}) {
      outputs.push_back(s.mean.to(at::kFloat));
      outputs.push_back(s.variance.to(at::kFloat));
    }
    outputs.push_back(statistics2.count);
    if (pool) outputs.push_back(empty_map(y2.size(0), y2.size(1), y2.size(2) / 2, y2.size(3) / 2));
    const RowParts parts(read_map(y2));
    workers.run(parts.count(), [&](std::size_t index, std::size_t) {
      kernels::rectify(read_map(y2), rectifier_of(norm2), parts.part(index), write_map(outputs[kFeatures]),
                       pool ? write_map(outputs[kPooled]) : Map<float>{});
    });
    tensor_list saved{weight1, weight2, y1, y2, norm1, norm2};
    saved.insert(saved.end(), inputs.begin(), inputs.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["pixels"] = statistics2.count.item<double>();
    ctx->saved_data["peers"] = reinterpret_cast<std::int64_t>(peers);
    ctx->mark_non_differentiable(tensor_list(outputs.begin() + kMean1, outputs.begin() + kPixels + 1));
    return outputs;
  }

  static tensor_list backward(torch::autograd::AutogradContext* ctx, tensor_list gradients) {
    const Workers workers = torch_workers();
    const tensor_list saved = ctx->get_saved_variables();
    const at::Tensor &w1 = saved[0], &w2 = saved[1], &y1 = saved[2], &y2 = saved[3];
    const at::Tensor &norm1 = saved[4], &norm2 = saved[5];
    const tensor_list inputs(saved.begin() + 6, saved.end());
    const bool pool = gradients.size() > kPooled && gradients[kPooled].defined();
    const at::Tensor whole = gradients[kFeatures].defined() ? channels_last(gradients[kFeatures]) : at::Tensor();
    const at::Tensor pooled = pool ? channels_last(gradients[kPooled]) : at::Tensor();
    const kernels::RectifiedGradient outer{read_map_or_none(whole), read_map_or_none(pooled)};
    const double pixels = ctx->saved_data["pixels"].toDouble();
    auto& peers = *reinterpret_cast<Communicator*>(ctx->saved_data["peers"].toInt());

    // Second batch norm, then second convolution, whose epilogue sums up what the first batch norm needs.
    const RowParts parts(read_map(y2));
    MomentBlocks blocks(parts.count(), read_map(y2).channels);
    at::Tensor centre = norm2[kMean].clone();
    workers.run(parts.count(), [&](std::size_t index, std::size_t) {
      kernels::Moments sums = blocks.block(index, 1);
      sums.centre = centre.data_ptr<float>();
      kernels::gradient_moments(read_map(y2), rectifier_of(norm2), outer, parts.part(index), sums);
    });
    const NormBackward backward2(blocks.totals(), norm2, pixels, peers);
    const at::Tensor dy2 = empty_map(y2.size(0), y2.size(1), y2.size(2), y2.size(3));
    norm_backward(y2, norm2, outer, backward2, dy2, workers);
    const at::Tensor dw2 = weight_gradient({{read_map(y1), rectifier_of(norm1)}}, dy2, w2, workers);

    const at::Tensor dy1 = empty_map(y1.size(0), y1.size(1), y1.size(2), y1.size(3));
    kernels::Epilogue epilogue;
    epilogue.rectified = read_map(y1);
    epilogue.rectifier = rectifier_of(norm1);
    epilogue.centre = row(norm1, kMean);
    std::optional<MomentBlocks> moments;
    const Map<float> inner = write_map(dy1);
    input_gradients(dy2, w2, {&inner, 1}, epilogue, &moments, workers);
    const NormBackward backward1(moments->totals(), norm1, pixels, peers);
    norm_backward(y1, norm1, {readable(inner), {}}, backward1, dy1, workers);

    const at::Tensor dw1 = reads_grey(w1) ? grey_weight_gradient(inputs[0], dy1, workers)
                                          : weight_gradient(inputs_of(inputs), dy1, w1, workers);
    tensor_list result(inputs.size());
    bool wanted = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) wanted |= ctx->needs_input_grad(i);
    if (wanted) {
      std::vector<Map<float>> maps;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const at::Tensor& x = inputs[i];
        result[i] = empty_map(x.size(0), x.size(1), x.size(2), x.size(3));
        maps.push_back(write_map(result[i]));
      }
      input_gradients(dy1, w1, maps, {}, nullptr, workers);
    }
    const auto zero = [](const at::Tensor& like) { return at::zeros({like.size(0)}, at::kFloat); };
    for (const at::Tensor& gradient : {dw1, zero(w1), backward1.gamma, backward1.beta, dw2, zero(w2), backward2.gamma,
                                       backward2.beta, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()}) {
      result.push_back(gradient);
    }
    return result;
  }
};

}  // namespace

TrainedBlock train_double_conv(const std::vector<at::Tensor>& inputs, const ConvNormWeights& first,
                               const ConvNormWeights& second, bool pool, Communicator& peers) {
  const tensor_list outputs = DoubleConvFunction::apply(at::TensorList(inputs), first.weight, first.bias, first.gamma,
                                                        first.beta, second.weight, second.bias, second.gamma,
                                                        second.beta, first.epsilon, second.epsilon, pool, &peers);
  TrainedBlock block;
  block.features = outputs[kFeatures];
  if (pool) block.pooled = outputs[kPooled];
  for (std::size_t i = 0; i < 2; ++i) {
    block.mean[i] = outputs[kMean1 + 2 * i];
    block.variance[i] = outputs[kVariance1 + 2 * i];
  }
  block.pixels = outputs[kPixels].item<double>();
  return block;
}

}  // namespace cmunet::nn
