// SPDX-License-Identifier: Apache-2.0
// Where a training step's time goes: each block of the UNet on its own, forward and backward, by LibTorch's kernels and
// by the native ones in turn. GFLOP/s count the multiplications and additions of direct convolution, so minimal
// filtering, which needs fewer, may exceed the machine's peak.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>

#include "cmunet/nn/unet.h"
#include "cmunet/train/control.h"

namespace cmunet {
namespace {

struct Flags {
  std::int64_t base_width = 64, size = 256, batch = 4;
  int threads = 2, repeat = 5;
};

constexpr std::array<nn::Kernels, 2> kKernels{nn::Kernels::kTorch, nn::Kernels::kNative};

struct Block {
  std::string name;
  std::array<std::function<std::vector<at::Tensor>()>, 2> forward;  // by kKernels
  double forward_gflop = 0, backward_gflop = 0;
  std::array<double, 2> forward_ms{}, backward_ms{};  // by kKernels
};

template <typename Work>
double milliseconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// In billions of a multiplication and an addition each counted as one.
double convolution_gflop(std::int64_t taps, std::int64_t in, std::int64_t out, std::int64_t pixels) {
  return 2e-9 * static_cast<double>(taps * in * out * pixels);
}

Block encoder_block(const Flags& flags, int level) {
  const std::int64_t out = flags.base_width << level, in = level == 0 ? 1 : out / 2, side = flags.size >> level;
  const bool pools = level < 4;
  const at::Tensor x = torch::randn({flags.batch, in, side, side}).requires_grad_(level > 0);
  Block block;
  block.name = pools ? concat("down_conv", level + 1) : "double_conv";
  const std::int64_t pixels = flags.batch * side * side;
  const double first = convolution_gflop(9, in, out, pixels), second = convolution_gflop(9, out, out, pixels);
  block.forward_gflop = first + second;
  block.backward_gflop = 2 * second + (level > 0 ? 2 : 1) * first;  // an image wants no gradient
  for (std::size_t k = 0; k < kKernels.size(); ++k) {
    nn::DoubleConv module(in, out, kKernels[k]);
    block.forward[k] = [x, pools, module]() mutable {
      const nn::BlockOutput output = module->forward_parts({x}, pools);
      return pools ? std::vector{output.features, output.pooled} : std::vector{output.features};
    };
  }
  return block;
}

Block decoder_block(const Flags& flags, int level) {
  const std::int64_t out = flags.base_width << level, in = 2 * out, side = flags.size >> level;
  const at::Tensor x = torch::randn({flags.batch, in, side / 2, side / 2}).requires_grad_();
  const at::Tensor skip = torch::randn({flags.batch, out, side, side}).requires_grad_();
  Block block;
  block.name = concat("up_conv", level + 1);
  const std::int64_t pixels = flags.batch * side * side;
  block.forward_gflop = convolution_gflop(1, in, out, pixels) + convolution_gflop(9, in, out, pixels) +
                        convolution_gflop(9, out, out, pixels);
  block.backward_gflop = 2 * block.forward_gflop;
  for (std::size_t k = 0; k < kKernels.size(); ++k) {
    nn::UpBlock module(in, out, kKernels[k]);
    block.forward[k] = [x, skip, module]() mutable { return std::vector{module->forward(x, skip)}; };
  }
  return block;
}

void measure(Block& block, int repeat) {
  for (std::size_t k = 0; k < kKernels.size(); ++k) {
    std::vector<double> forward_ms, backward_ms;
    for (int i = 0; i <= repeat; ++i) {
      std::vector<at::Tensor> outputs, gradients;
      const double forward = milliseconds([&] { outputs = block.forward[k](); });
      for (const at::Tensor& output : outputs) gradients.push_back(torch::randn_like(output));
      const double backward = milliseconds([&] { torch::autograd::backward(outputs, gradients); });
      if (i == 0) continue;  // warms up
      forward_ms.push_back(forward);
      backward_ms.push_back(backward);
    }
    block.forward_ms[k] = median(forward_ms);
    block.backward_ms[k] = median(backward_ms);
  }
}

void print_row(const std::string& name, double gflop, const std::array<double, 2>& ms,
               const std::array<double, 2>& total_ms) {
  std::printf("| %s |", name.c_str());
  for (std::size_t k = 0; k < kKernels.size(); ++k) {
    std::printf(" %.1f | %.0f %% | %.0f |", ms[k], 100 * ms[k] / total_ms[k], 1000 * gflop / ms[k]);
  }
  std::printf(" %.2f |\n", ms[1] / ms[0]);
}

void run(const Flags& flags) {
  train::set_up_process(flags.threads);
  torch::manual_seed(1);
  std::vector<Block> blocks;
  for (int level = 0; level < 5; ++level) blocks.push_back(encoder_block(flags, level));
  for (int level = 4; level-- > 0;) blocks.push_back(decoder_block(flags, level));
  double gflop = 0;
  std::array<double, 2> total_ms{};
  for (Block& block : blocks) {
    measure(block, flags.repeat);
    gflop += block.forward_gflop + block.backward_gflop;
    for (std::size_t k = 0; k < kKernels.size(); ++k) total_ms[k] += block.forward_ms[k] + block.backward_ms[k];
  }
  std::printf("| block, pass | LibTorch ms | share | GFLOP/s | native ms | share | GFLOP/s | native / LibTorch |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const Block& block : blocks) {
    print_row(block.name + " forward", block.forward_gflop, block.forward_ms, total_ms);
    print_row(block.name + " backward", block.backward_gflop, block.backward_ms, total_ms);
  }
  print_row("all blocks", gflop, total_ms, total_ms);
}

}  // namespace
}  // namespace cmunet

int main(int argc, char** argv) {
  cmunet::Flags flags;
  CLI::App app("Times each block of the UNet, by LibTorch's kernels and the native ones.");
  app.add_option("--base-width", flags.base_width);
  app.add_option("--size", flags.size);
  app.add_option("--batch", flags.batch);
  app.add_option("--threads", flags.threads);
  app.add_option("--repeat", flags.repeat);
  CLI11_PARSE(app, argc, argv);
  cmunet::run(flags);
}
