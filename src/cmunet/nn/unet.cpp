// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/unet.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/nn/batch_norm.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::nn {
namespace {

torch::nn::Conv2d conv3x3(std::int64_t in, std::int64_t out) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
}

torch::nn::Sequential make_double_conv(std::int64_t in, std::int64_t out) {
  return torch::nn::Sequential(conv3x3(in, out), torch::nn::BatchNorm2d(out),
                               torch::nn::ReLU(torch::nn::ReLUOptions(true)), conv3x3(out, out),
                               torch::nn::BatchNorm2d(out), torch::nn::ReLU(torch::nn::ReLUOptions(true)));
}

void adopt_children(torch::nn::Module& parent, const torch::nn::Module& part) {
  for (const auto& child : part.named_children()) parent.register_module(child.key(), child.value());
}

}  // namespace

void UNetOptions::check() const {
  const auto in_range = [](std::int64_t n) { return n >= 1 && n <= 4096; };
  CMUNET_CHECK(in_range(in_channels) && in_range(classes) && in_range(base_width), ErrorCode::kInvalidArgument,
               "[unet] in_channels ", in_channels, ", classes ", classes, ", base_width ", base_width,
               "; each must be in 1…4096");
}

DoubleConvImpl::DoubleConvImpl(std::int64_t in, std::int64_t out, Kernels kernels)
    : double_conv_(register_module("double_conv", make_double_conv(in, out))),
      native_(kernels == Kernels::kNative && native_pays(in, out)) {}

ConvNorm DoubleConvImpl::layer(std::size_t index) {
  return {*double_conv_->ptr(3 * index)->as<torch::nn::Conv2d>(),
          *double_conv_->ptr(3 * index + 1)->as<torch::nn::BatchNorm2d>()};
}

BlockOutput DoubleConvImpl::forward_parts(const std::vector<torch::Tensor>& parts, bool pool) {
  Communicator& peers = is_synchronised ? communicator() : single_process();
  if (native_ && native_applies(parts[0], is_training())) {
    return native_double_conv(parts, layer(0), layer(1), pool, peers);
  }
  torch::Tensor h = parts.size() == 1 ? parts[0] : torch::cat(parts, 1);
  if (peers.size() == 1 || !is_training()) {
    h = double_conv_->forward(h);
  } else {
    for (const std::size_t index : {0, 1}) {
      h = torch::relu(batch_norm(layer(index).norm, layer(index).conv.forward(h)));
    }
  }
  return {h, pool ? torch::max_pool2d(h, 2) : torch::Tensor()};
}

DownBlockImpl::DownBlockImpl(std::int64_t in, std::int64_t out, Kernels kernels)
    : double_conv_(register_module("double_conv", DoubleConv(in, out, kernels))) {}

BlockOutput DownBlockImpl::forward(const torch::Tensor& x) { return double_conv_->forward_parts({x}, true); }

UpBlockImpl::UpBlockImpl(std::int64_t in, std::int64_t out, Kernels kernels)
    : up_sample_(register_module("up_sample",
                                 torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2)))),
      double_conv_(register_module("double_conv", DoubleConv(in, out, kernels))),
      native_(kernels == Kernels::kNative && native_pays(in, out)) {}

torch::Tensor UpBlockImpl::forward(const torch::Tensor& x, const torch::Tensor& skip) {
  const bool native = native_ && native_applies(x, is_training());
  const torch::Tensor upsampled = native ? native_up_conv(x, *up_sample_) : up_sample_->forward(x);
  return double_conv_->forward_parts({upsampled, skip}, false).features;
}

UNetEncoderImpl::UNetEncoderImpl(const UNetOptions& options) : in_channels_(options.in_channels) {
  std::int64_t in = options.in_channels;
  std::int64_t out = options.base_width;
  for (std::size_t i = 0; i < down_conv_.size(); ++i) {
    down_conv_[i] = register_module(concat("down_conv", i + 1), DownBlock(in, out, options.kernels));
    in = out;
    out *= 2;
  }
  double_conv_ = register_module("double_conv", DoubleConv(in, out, options.kernels));
}

Features UNetEncoderImpl::forward(const torch::Tensor& x) {
  const bool shape_ok = x.dim() == 4 && x.size(1) == in_channels_ && x.size(2) % kTotalStride == 0 &&
                        x.size(3) % kTotalStride == 0 && x.numel() > 0;
  CMUNET_CHECK(shape_ok, ErrorCode::kInvalidArgument, "[unet] input is ", x.sizes(), "; expected [N, ", in_channels_,
               ", H, W] with H and W multiples of ", kTotalStride);
  Features features;
  torch::Tensor h = x;
  for (std::size_t i = 0; i < down_conv_.size(); ++i) {
    const BlockOutput output = down_conv_[i]->forward(h);
    features.skips[i] = output.features;
    h = output.pooled;
  }
  features.latent = double_conv_->forward(h);
  return features;
}

UNetDecoderImpl::UNetDecoderImpl(const UNetOptions& options) {
  std::int64_t in = 16 * options.base_width;
  for (std::size_t i = up_conv_.size(); i-- > 0;) {  // up_conv4 first: the reference's registration order
    up_conv_[i] = register_module(concat("up_conv", i + 1), UpBlock(in, in / 2, options.kernels));
    in /= 2;
  }
  conv_last_ = register_module("conv_last", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, options.classes, 1)));
}

torch::Tensor UNetDecoderImpl::forward(const Features& features) {
  torch::Tensor h = features.latent;
  for (std::size_t i = up_conv_.size(); i-- > 0;) h = up_conv_[i]->forward(h, features.skips[i]);
  return conv_last_->forward(h);
}

UNetImpl::UNetImpl(const UNetOptions& options)
    : options_((options.check(), options)), encoder_(options), decoder_(options) {
  adopt_children(*this, *encoder_);
  adopt_children(*this, *decoder_);
}

torch::Tensor UNetImpl::forward(const torch::Tensor& x) { return decoder_->forward(encoder_->forward(x)); }

void synchronise_batch_norms(torch::nn::Module& module, bool on) {
  for (const auto& child : module.modules()) {
    if (auto* block = child->as<DoubleConv>()) block->is_synchronised = on;
  }
}

void init_kaiming_fan_out(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const auto& child : module.modules()) {
    if (auto* conv = child->as<torch::nn::Conv2d>()) {
      torch::nn::init::kaiming_normal_(conv->weight, 0.0, torch::kFanOut, torch::kReLU);
      if (conv->bias.defined()) conv->bias.zero_();
    } else if (auto* norm = child->as<torch::nn::BatchNorm2d>()) {
      norm->reset_parameters();
    }
  }
}

}  // namespace cmunet::nn
