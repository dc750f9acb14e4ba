// SPDX-License-Identifier: Apache-2.0
// One training step (forward and loss, backward, optimiser) on random images, by LibTorch's kernels or the native ones.
// The peer is pytorch_step.py, which takes the same options and prints the same line; train_step.py runs both in turn.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/json.h"
#include "cmunet/nn/losses.h"
#include "cmunet/ssl/method.h"
#include "cmunet/train/control.h"
#include "cmunet/train/optimizer.h"
#include "cmunet/train/precision.h"

namespace cmunet {
namespace {

struct Flags {
  std::string kernels = "native";
  std::int64_t base_width = 64, size = 256, batch = 4;
  int threads = 2, repeat = 5;
  bool bf16 = false, cm_unet = false;
};

// What a step needs: a loss to call, the module whose parameters it moves, and what follows the optimiser.
struct Subject {
  torch::nn::Module& module;
  std::function<at::Tensor()> loss;
  std::function<void()> after_step;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Json measure(const Flags& flags, const Subject& subject) {
  train::Optimizer optimizer(subject.module, {.weight_decay = 0.01, .fused = flags.kernels == "native"});
  std::map<std::string, std::vector<double>> times;
  double value = 0;
  for (int i = 0; i <= flags.repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    at::Tensor loss;
    {
      const train::Autocast autocast(flags.bf16 ? train::Precision::kBf16 : train::Precision::kFp32, at::kCPU);
      loss = subject.loss();
    }
    const double forward = milliseconds_since(start);
    loss.backward();
    const double backward = milliseconds_since(start);
    optimizer.step(1e-3);
    subject.after_step();
    optimizer.zero_grad();
    const double end = milliseconds_since(start);
    value = loss.item<double>();
    if (i == 0) continue;  // warms up
    times["forward"].push_back(forward);
    times["backward"].push_back(backward - forward);
    times["optimizer"].push_back(end - backward);
    times["step"].push_back(end);
  }
  Json median = Json::object(), minimum = Json::object();
  for (auto& [name, list] : times) {
    std::sort(list.begin(), list.end());
    median[name] = list[list.size() / 2];
    minimum[name] = list.front();
  }
  return {{"kernels", flags.kernels},
          {"threads", flags.threads},
          {"loss", value},
          {"median_ms", median},
          {"minimum_ms", minimum}};
}

Json run(const Flags& flags) {
  train::set_up_process(flags.threads);
  torch::manual_seed(1);
  nn::UNetOptions unet_options{.base_width = flags.base_width};
  for (const auto& [name, kernels] : nn::kernels_names()) {
    if (name == flags.kernels) unet_options.kernels = kernels;
  }
  const at::Tensor images = torch::randn({flags.batch, 1, flags.size, flags.size});
  if (!flags.cm_unet) {
    nn::UNet unet(unet_options);
    const at::Tensor masks = (torch::rand({flags.batch, flags.size, flags.size}) < 0.1).to(at::kByte);
    return measure(
        flags,
        {*unet, [&] { return nn::segmentation_loss(unet->forward(images).to(at::kFloat), masks).total; }, [] {}});
  }
  ssl::MethodOptions options;
  options.unet = unet_options;
  options.cm_unet.views.view_size = static_cast<int>(flags.size);
  const auto method = ssl::make_method(options, 1);
  method->module().train();
  std::vector<Rng> rngs = augment::image_rngs(Rng(1), 0, flags.batch);
  const std::vector<at::Tensor> inputs = method->make_inputs(images, rngs);
  return measure(flags, {method->module(), [&] { return method->loss(inputs).total; }, [&] { method->after_step(); }});
}

}  // namespace
}  // namespace cmunet

int main(int argc, char** argv) {
  cmunet::Flags flags;
  CLI::App app("Times one training step.");
  app.add_option("--kernels", flags.kernels)->check(CLI::IsMember({"torch", "native"}));
  app.add_option("--base-width", flags.base_width);
  app.add_option("--size", flags.size);
  app.add_option("--batch", flags.batch);
  app.add_option("--threads", flags.threads);
  app.add_option("--repeat", flags.repeat);
  app.add_flag("--bf16", flags.bf16);
  app.add_flag("--cm-unet", flags.cm_unet);
  CLI11_PARSE(app, argc, argv);
  std::printf("%s\n", cmunet::run(flags).dump().c_str());
}
