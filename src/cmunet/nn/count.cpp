// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/count.h"

#include <torch/torch.h>

namespace cmunet::nn {
namespace {

double double_conv_macs(double in, double out, double pixels) { return 9 * pixels * out * (in + out); }

}  // namespace

ParameterCount count_parameters(const std::string& name, const torch::nn::Module& module) {
  ParameterCount count{name};
  for (const auto& parameter : module.parameters()) {
    (parameter.requires_grad() ? count.trainable : count.frozen) += parameter.numel();
  }
  return count;
}

std::vector<ParameterCount> count_children(const torch::nn::Module& module) {
  std::vector<ParameterCount> rows;
  for (const auto& child : module.named_children()) rows.push_back(count_parameters(child.key(), *child.value()));
  return rows;
}

ParameterCount sum_of(const std::vector<ParameterCount>& rows) {
  ParameterCount sum{"total"};
  for (const ParameterCount& row : rows) {
    sum.trainable += row.trainable;
    sum.frozen += row.frozen;
  }
  return sum;
}

double encoder_macs(const UNetOptions& options, std::int64_t height, std::int64_t width) {
  double pixels = static_cast<double>(height * width);
  double in = static_cast<double>(options.in_channels);
  double out = static_cast<double>(options.base_width);
  double macs = 0;
  for (int level = 0; level < 5; ++level) {
    macs += double_conv_macs(in, out, pixels);
    in = out;
    out *= 2;
    pixels /= 4;
  }
  return macs;
}

double decoder_macs(const UNetOptions& options, std::int64_t height, std::int64_t width) {
  double pixels = static_cast<double>(height * width) / 64;  // after the first up-sampling
  double in = static_cast<double>(16 * options.base_width);
  double macs = 0;
  for (int level = 0; level < 4; ++level) {
    const double out = in / 2;
    macs += in * out * pixels + double_conv_macs(in, out, pixels);  // each output pixel of the up-sampling sees one tap
    in = out;
    pixels *= 4;
  }
  return macs + in * static_cast<double>(options.classes) * static_cast<double>(height * width);
}

double activation_bytes(const UNetOptions& options, std::int64_t height, std::int64_t width) {
  double floats = 0;
  double pixels = static_cast<double>(height * width);
  double channels = static_cast<double>(options.base_width);
  for (int level = 0; level < 5; ++level) {
    floats += 4 * channels * pixels;  // encoder
    if (level < 4) {
      floats += channels * pixels * (0.25 + 2 * 0.25);  // pooled, and 8-byte indices
      floats += (2 + 4) * channels * pixels;            // decoder: concatenation and DoubleConv
    }
    channels *= 2;
    pixels /= 4;
  }
  return 4 * floats;
}

}  // namespace cmunet::nn
