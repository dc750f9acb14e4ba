// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "cmunet/base/scratch_folder.h"

namespace cmunet::train {
namespace {

// Two tensors, one that decays and one that does not, whose gradients are set by hand.
class Pair : public torch::nn::Module {
 public:
  Pair() {
    weight = register_parameter("weight", torch::tensor({{3.0, -4.0}}, torch::kDouble));
    bias = register_parameter("bias", torch::tensor({2.0, 1.0}, torch::kDouble));
  }
  void set_gradients(const std::vector<double>& of_weight, const std::vector<double>& of_bias) {
    weight.mutable_grad() = torch::tensor(of_weight, torch::kDouble).view({1, 2});
    bias.mutable_grad() = torch::tensor(of_bias, torch::kDouble);
  }
  at::Tensor weight, bias;
};

void expect_values(const at::Tensor& tensor, std::vector<double> expected, double tolerance = 1e-12) {
  const at::Tensor flat = tensor.detach().flatten();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(flat[static_cast<std::int64_t>(i)].item<double>(), expected[i], tolerance) << i;
  }
}

TEST(Lamb, FirstStepIsAsLongAsTheWeightsAllow) {
  Pair pair;
  Optimizer optimizer(pair, {.kind = OptimizerKind::kLamb, .weight_decay = 0.1});
  pair.set_gradients({0.5, 0.25}, {-0.5, 0.125});
  optimizer.step(0.01);
  // m̂ = g and v̂ = g², so that the step is g / (|g| + ε) + λ·w, stretched to the length 5 of w.
  const double u0 = 0.5 / (0.5 + 1e-6) + 0.3, u1 = 0.25 / (0.25 + 1e-6) - 0.4;
  const double trust = 5 / std::hypot(u0, u1);
  expect_values(pair.weight, {3 - 0.01 * trust * u0, -4 - 0.01 * trust * u1});
  // A bias neither decays nor is stretched.
  expect_values(pair.bias, {2 + 0.01 * 0.5 / (0.5 + 1e-6), 1 - 0.01 * 0.125 / (0.125 + 1e-6)});
}

TEST(Lamb, WeightsOfZeroAreNotStretched) {
  Pair pair;
  {
    const torch::NoGradGuard no_grad;
    pair.weight.zero_();
  }
  Optimizer optimizer(pair, {.kind = OptimizerKind::kLamb, .weight_decay = 0.1});
  pair.set_gradients({0.5, -0.5}, {0, 0});
  optimizer.step(0.01);
  const double step = 0.01 * 0.5 / (0.5 + 1e-6);
  expect_values(pair.weight, {-step, step});
  expect_values(pair.bias, {2, 1});
}

// The published algorithm on plain numbers.
TEST(Lamb, TenStepsMatchALoopOverNumbers) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.95, kEpsilon = 1e-6, kNorm = 0.75;
  Pair pair;
  Optimizer optimizer(pair,
                      {.kind = OptimizerKind::kLamb, .beta1 = kBeta1, .beta2 = kBeta2, .max_gradient_norm = kNorm});
  std::array<double, 4> w{3, -4, 2, 1}, m{}, v{};
  for (int step = 1; step <= 10; ++step) {
    const double decay = 0.04 + 0.016 * step, lr = 0.02 / step;
    std::array<double, 4> g{0.3 * w[0], std::sin(w[1] + step), 0.1 * step, -w[3]};
    pair.set_gradients({g[0], g[1]}, {g[2], g[3]});
    optimizer.step(lr, decay);
    const double length = std::sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2] + g[3] * g[3]);
    std::array<double, 4> u;
    for (std::size_t i = 0; i < 4; ++i) {
      g[i] /= std::max(1.0, length / kNorm);
      m[i] = kBeta1 * m[i] + (1 - kBeta1) * g[i];
      v[i] = kBeta2 * v[i] + (1 - kBeta2) * g[i] * g[i];
      u[i] = m[i] / (1 - std::pow(kBeta1, step)) / (std::sqrt(v[i] / (1 - std::pow(kBeta2, step))) + kEpsilon);
      if (i < 2) u[i] += decay * w[i];
    }
    const double trust = std::hypot(w[0], w[1]) / std::hypot(u[0], u[1]);
    for (std::size_t i = 0; i < 4; ++i) w[i] -= lr * (i < 2 ? trust : 1) * u[i];
    expect_values(pair.weight, {w[0], w[1]}, 1e-10);
    expect_values(pair.bias, {w[2], w[3]}, 1e-10);
  }
}

TEST(AdamW, OnePassOverMemoryEqualsLibTorchsOperations) {
  torch::manual_seed(1);
  torch::nn::Linear fused(300, 257), plain(300, 257);  // more than two of the parts that threads share
  {
    const torch::NoGradGuard no_grad;
    plain->weight.copy_(fused->weight);
    plain->bias.copy_(fused->bias);
  }
  Optimizer by_kernels(*fused, {.beta2 = 0.95, .weight_decay = 0.1});
  Optimizer by_torch(*plain, {.beta2 = 0.95, .weight_decay = 0.1, .fused = false});
  for (int step = 0; step < 10; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor gradient = torch::randn_like(plain->parameters()[i]);
      fused->parameters()[i].mutable_grad() = gradient;
      plain->parameters()[i].mutable_grad() = gradient;
    }
    by_kernels.step(0.01);
    by_torch.step(0.01);
  }
  EXPECT_LT((fused->weight - plain->weight).abs().max().item<double>(), 1e-6);
  EXPECT_LT((fused->bias - plain->bias).abs().max().item<double>(), 1e-6);
  for (std::size_t i = 0; i < by_torch.state().size(); ++i) {
    EXPECT_TRUE(torch::allclose(by_kernels.state()[i].second, by_torch.state()[i].second, 1e-5, 1e-7));
  }
}

TEST(Sgd, MomentumAddsUpAndDecayIsPartOfTheGradient) {
  Pair pair;
  Optimizer optimizer(pair, {.kind = OptimizerKind::kSgd, .momentum = 0.9});
  for (int step = 0; step < 5; ++step) {
    pair.set_gradients({1, 0}, {0, -2});
    optimizer.step(0.1);
  }
  double way = 0;  // Σ over steps of 1 + 0.9 + … + 0.9^(step − 1)
  for (int step = 1; step <= 5; ++step) way += (1 - std::pow(0.9, step)) / 0.1;
  expect_values(pair.weight, {3 - 0.1 * way, -4}, 1e-12);
  expect_values(pair.bias, {2, 1 + 0.2 * way}, 1e-12);
  Pair decayed;
  Optimizer with_decay(decayed, {.kind = OptimizerKind::kSgd, .weight_decay = 0.5});
  decayed.set_gradients({1, 0}, {0, 0});
  with_decay.step(0.1);
  expect_values(decayed.weight, {3 - 0.1 * (1 + 1.5), -4 + 0.1 * 2});
  expect_values(decayed.bias, {2, 1});
}

TEST(Optimizer, ShortensLongGradientsAndLeavesShortOnes) {
  for (const double factor : {1.0, 0.001}) {
    Pair pair;
    Optimizer optimizer(pair, {.kind = OptimizerKind::kSgd, .momentum = 0, .max_gradient_norm = 1});
    pair.set_gradients({2 * factor, 4 * factor}, {4 * factor, 8 * factor});  // of length 10 and 0.01
    optimizer.step(1);
    const double shortened = factor == 1.0 ? 0.1 : factor;
    expect_values(pair.weight, {3 - 2 * shortened, -4 - 4 * shortened});
    expect_values(pair.bias, {2 - 4 * shortened, 1 - 8 * shortened});
  }
}

TEST(Optimizer, ContinuesFromItsSavedState) {
  const ScratchFolder folder;
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kLamb, OptimizerKind::kSgd}) {
    const OptimizerOptions options{.kind = kind, .weight_decay = 0.1};
    Pair whole, parts;
    Optimizer first(whole, options), before(parts, options), after(parts, options);
    const auto step = [](Pair& pair, Optimizer& optimizer, double g) {
      pair.set_gradients({g, -g}, {0.5 * g, 1});
      optimizer.step(0.1);
    };
    step(whole, first, 0.7);
    step(whole, first, -0.2);
    step(parts, before, 0.7);
    save_tensors(folder.path() / "state.safetensors", before.state(), {});
    after.load(SafetensorsFile::open(folder.path() / "state.safetensors"), before.step_count());
    step(parts, after, -0.2);
    EXPECT_TRUE(whole.weight.equal(parts.weight));
    EXPECT_TRUE(whole.bias.equal(parts.bias));
  }
}

TEST(Schedule, HalvesEverySoManySteps) {
  const ScheduleOptions s{.kind = Schedule::kHalve, .peak_lr = 0.8, .total_steps = 100, .halve_every_steps = 40};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(s, 39), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(s, 40), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(s, 80), 0.2);
}

TEST(Schedule, WarmUpAndCosineHaveTheirFactors) {
  const ScheduleOptions s{
      .peak_lr = 1, .min_lr = 0.001, .warmup_start_factor = 0.005, .warmup_steps = 40, .total_steps = 240};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 0.005);
  EXPECT_DOUBLE_EQ(learning_rate(s, 140), 0.5005);
  EXPECT_NEAR(learning_rate(s, 240), 0.001, 1e-15);
  EXPECT_DOUBLE_EQ(cosine_between(0.04, 0.2, 0, 100), 0.04);
  EXPECT_DOUBLE_EQ(cosine_between(0.04, 0.2, 50, 100), 0.12);
  EXPECT_DOUBLE_EQ(cosine_between(0.04, 0.2, 100, 100), 0.2);
}

}  // namespace
}  // namespace cmunet::train
