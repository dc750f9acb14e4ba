// SPDX-License-Identifier: Apache-2.0
// The UNet of the paper, as an encoder and a decoder that can also be used apart.
//
// Shape letters: N batch, C channels, H height, W width. H and W are multiples of 16.
// Parameter names are the reference UNet's (down_conv1.double_conv.double_conv.0.weight … conv_last.bias), so a
// checkpoint loads into it in Python by name.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <cstdint>
#include <vector>

#include "cmunet/nn/kernels.h"
#include "cmunet/nn/native_blocks.h"

namespace cmunet::nn {

/// Sizes of a UNet. Widths are base_width · (1, 2, 4, 8), bottleneck 16 · base_width.
struct UNetOptions {
  std::int64_t in_channels = 1;
  std::int64_t classes = 2;      ///< output channels; 2 = background, vessel
  std::int64_t base_width = 64;  ///< 64 in the paper: 31,042,434 parameters with 2 classes
  Kernels kernels = Kernels::kNative;

  /// @throws Error kInvalidArgument unless all are in 1…4096.
  void check() const;
  bool operator==(const UNetOptions&) const = default;
};

/// Input sizes must be multiples of this (four poolings).
inline constexpr std::int64_t kTotalStride = 16;

/// Conv 3×3 pad 1 with bias, batch norm, ReLU; twice. [N, in, H, W] -> [N, out, H, W].
class DoubleConvImpl : public torch::nn::Module {
 public:
  DoubleConvImpl(std::int64_t in, std::int64_t out, Kernels kernels);
  torch::Tensor forward(const torch::Tensor& x) { return forward_parts({x}, false).features; }
  /// @param parts  maps to be read as if concatenated along channels, `in` in all
  /// @param pool   max-pool 2×2 as well
  BlockOutput forward_parts(const std::vector<torch::Tensor>& parts, bool pool);

  /// Several processes: batch norms take the statistics of all their images; off, of this one's alone.
  bool is_synchronised = true;

 private:
  ConvNorm layer(std::size_t index);  // 0 or 1

  torch::nn::Sequential double_conv_;
  bool native_;
};
TORCH_MODULE(DoubleConv);

/// DoubleConv, whose output is the skip, then max-pool 2×2.
class DownBlockImpl : public torch::nn::Module {
 public:
  DownBlockImpl(std::int64_t in, std::int64_t out, Kernels kernels);
  /// The features [N, out, H, W] and the pooled ones.
  BlockOutput forward(const torch::Tensor& x);

 private:
  DoubleConv double_conv_;
};
TORCH_MODULE(DownBlock);

/// Transposed conv 2×2 stride 2 with bias (in -> out), concatenation [upsampled, skip], DoubleConv (in -> out).
class UpBlockImpl : public torch::nn::Module {
 public:
  UpBlockImpl(std::int64_t in, std::int64_t out, Kernels kernels);
  /// @param x     [N, in, H, W]
  /// @param skip  [N, out, 2H, 2W] with in = 2 · out
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& skip);

 private:
  torch::nn::ConvTranspose2d up_sample_;
  DoubleConv double_conv_;
  bool native_;
};
TORCH_MODULE(UpBlock);

/// What the encoder hands to a decoder.
struct Features {
  torch::Tensor latent;                ///< [N, 16·base, H/16, W/16]
  std::array<torch::Tensor, 4> skips;  ///< finest first: [N, base, H, W] … [N, 8·base, H/8, W/8]
};

/// down_conv1 … down_conv4 and the bottleneck double_conv: 18,849,984 parameters at base 64.
class UNetEncoderImpl : public torch::nn::Module {
 public:
  explicit UNetEncoderImpl(const UNetOptions& options);
  /// @param x  [N, in_channels, H, W]. @throws Error kInvalidArgument on another shape.
  Features forward(const torch::Tensor& x);

 private:
  std::int64_t in_channels_;
  std::array<DownBlock, 4> down_conv_{nullptr, nullptr, nullptr, nullptr};
  DoubleConv double_conv_{nullptr};
};
TORCH_MODULE(UNetEncoder);

/// up_conv4 … up_conv1 and conv_last: 12,192,450 parameters at base 64 with 2 classes.
class UNetDecoderImpl : public torch::nn::Module {
 public:
  explicit UNetDecoderImpl(const UNetOptions& options);
  /// @return logits [N, classes, H, W]
  torch::Tensor forward(const Features& features);

 private:
  std::array<UpBlock, 4> up_conv_{nullptr, nullptr, nullptr, nullptr};
  torch::nn::Conv2d conv_last_{nullptr};
};
TORCH_MODULE(UNetDecoder);

/// Encoder and decoder under the reference UNet's flat names. The parts stay reachable for pre-training methods.
class UNetImpl : public torch::nn::Module {
 public:
  explicit UNetImpl(const UNetOptions& options);
  /// @param x  [N, in_channels, H, W] float
  /// @return   logits [N, classes, H, W]
  torch::Tensor forward(const torch::Tensor& x);

  const UNetOptions& options() const { return options_; }
  UNetEncoder encoder() const { return encoder_; }
  UNetDecoder decoder() const { return decoder_; }

 private:
  UNetOptions options_;
  // Not registered themselves: their children are, so that names carry no "encoder." prefix.
  UNetEncoder encoder_;
  UNetDecoder decoder_;
};
TORCH_MODULE(UNet);

/// Sets `is_synchronised` in every DoubleConv of `module`.
void synchronise_batch_norms(torch::nn::Module& module, bool on);

/// Kaiming-normal weights (fan-out, ReLU gain) and zero biases for every convolution of `module`; batch norms 1 and 0.
/// What the reference code does to the CM-UNet encoder (other parts keep the framework's default).
void init_kaiming_fan_out(torch::nn::Module& module);

}  // namespace cmunet::nn
