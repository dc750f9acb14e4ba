// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/native_blocks.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cmunet/nn/losses.h"
#include "cmunet/nn/unet.h"

namespace cmunet::nn {
namespace {

// ‖a − b‖ / ‖b‖.
double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor a = actual.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm() / b.norm().clamp_min(1e-12)).item<double>();
}

// A block's two layers, and the same arithmetic by LibTorch in double.
struct Block {
  torch::nn::Conv2d conv1, conv2;
  torch::nn::BatchNorm2d norm1, norm2;
  Block(std::int64_t in, std::int64_t out)
      : conv1(torch::nn::Conv2dOptions(in, out, 3).padding(1)),
        conv2(torch::nn::Conv2dOptions(out, out, 3).padding(1)),
        norm1(out),
        norm2(out) {
    const torch::NoGradGuard no_grad;
    for (const auto& norm : {norm1, norm2}) {
      norm->weight.uniform_(0.5, 1.5);
      norm->bias.uniform_(-0.5, 0.5);
    }
  }
  std::vector<at::Tensor> parameters() const {
    return {conv1->weight, norm1->weight, norm1->bias, conv2->weight, norm2->weight, norm2->bias};
  }
  void to_double() { conv1->to(at::kDouble), conv2->to(at::kDouble), norm1->to(at::kDouble), norm2->to(at::kDouble); }
  at::Tensor forward(const at::Tensor& x) {
    return torch::relu(norm2->forward(conv2->forward(torch::relu(norm1->forward(conv1->forward(x))))));
  }
};

struct Shape {
  std::int64_t n, in1, in2, out, height, width;
  bool pool;
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.n << " images " << s.height << "x" << s.width << ", " << s.in1 << " + " << s.in2 << " -> " << s.out;
}

class NativeDoubleConv : public testing::TestWithParam<Shape> {};

TEST_P(NativeDoubleConv, OutputAndEveryGradientEqualLibTorchsInDouble) {
  const auto [n, in1, in2, out, height, width, pool] = GetParam();
  torch::manual_seed(in1 + out);
  Block fast(in1 + in2, out), slow(in1 + in2, out);
  {
    const torch::NoGradGuard no_grad;
    const auto from = fast.parameters(), to = slow.parameters();
    for (std::size_t i = 0; i < from.size(); ++i) to[i].copy_(from[i]);
    slow.conv1->bias.copy_(fast.conv1->bias);
    slow.conv2->bias.copy_(fast.conv2->bias);
  }
  slow.to_double();
  std::vector<at::Tensor> inputs{torch::randn({n, in1, height, width}).requires_grad_()};
  if (in2 > 0) inputs.push_back(torch::randn({n, in2, height, width}).requires_grad_());
  const BlockOutput result =
      native_double_conv(inputs, {*fast.conv1, *fast.norm1}, {*fast.conv2, *fast.norm2}, pool, single_process());

  std::vector<at::Tensor> exact_inputs;
  for (const at::Tensor& x : inputs) exact_inputs.push_back(x.detach().to(at::kDouble).requires_grad_());
  const at::Tensor exact = slow.forward(torch::cat(exact_inputs, 1));
  EXPECT_LT(relative_error(result.features, exact), 1e-5);

  const at::Tensor weight = torch::randn(exact.sizes());
  at::Tensor loss = (result.features * weight).sum(), exact_loss = (exact * weight.to(at::kDouble)).sum();
  if (pool) {
    const at::Tensor exact_pooled = torch::max_pool2d(exact, 2), weight2 = torch::randn(exact_pooled.sizes());
    EXPECT_LT(relative_error(result.pooled, exact_pooled), 1e-5);
    loss = loss + (result.pooled * weight2).sum();
    exact_loss = exact_loss + (exact_pooled * weight2.to(at::kDouble)).sum();
  }
  loss.backward();
  exact_loss.backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(relative_error(inputs[i].grad(), exact_inputs[i].grad()), 1e-4) << "input " << i;
  }
  const auto actual = fast.parameters(), expected = slow.parameters();
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LT(relative_error(actual[i].grad(), expected[i].grad()), 1e-4) << "parameter " << i;
  }
  EXPECT_EQ(fast.conv1->bias.grad().abs().max().item<double>(), 0);
  EXPECT_LT(relative_error(fast.norm1->running_mean, slow.norm1->running_mean), 1e-5);
  EXPECT_LT(relative_error(fast.norm2->running_var, slow.norm2->running_var), 1e-5);
}

TEST_P(NativeDoubleConv, EvaluationModeEqualsLibTorch) {
  const auto [n, in1, in2, out, height, width, pool] = GetParam();
  const torch::NoGradGuard no_grad;
  torch::manual_seed(in1 + out);
  Block block(in1 + in2, out);
  for (torch::nn::BatchNorm2d norm : {block.norm1, block.norm2}) {
    norm->running_mean.normal_();
    norm->running_var.uniform_(0.5, 2);
    norm->eval();
  }
  std::vector<at::Tensor> inputs{torch::randn({n, in1, height, width})};
  if (in2 > 0) inputs.push_back(torch::randn({n, in2, height, width}));
  const BlockOutput result =
      native_double_conv(inputs, {*block.conv1, *block.norm1}, {*block.conv2, *block.norm2}, pool, single_process());
  const at::Tensor expected = block.forward(torch::cat(inputs, 1));
  EXPECT_LT(relative_error(result.features, expected), 1e-5);
  if (pool) {
    EXPECT_LT(relative_error(result.pooled, torch::max_pool2d(expected, 2)), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, NativeDoubleConv,
                         testing::Values(Shape{2, 1, 0, 16, 16, 32, true}, Shape{2, 1, 0, 1, 8, 8, true},
                                         Shape{3, 3, 0, 17, 7, 5, false}, Shape{2, 16, 0, 32, 8, 8, true},
                                         Shape{1, 17, 0, 3, 9, 11, false}, Shape{2, 16, 16, 16, 12, 20, false},
                                         Shape{2, 3, 17, 33, 6, 6, true}, Shape{2, 64, 64, 64, 8, 12, false},
                                         Shape{2, 64, 0, 128, 16, 16, true}, Shape{4, 128, 0, 256, 4, 4, false},
                                         Shape{2, 256, 256, 256, 6, 4, false}));

TEST(NativeUpConv, EqualsLibTorch) {
  for (const auto& [in, out] : {std::pair<std::int64_t, std::int64_t>{32, 16}, {3, 5}, {64, 32}, {128, 64}}) {
    torch::manual_seed(in);
    torch::nn::ConvTranspose2d conv(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2));
    const at::Tensor x = torch::randn({2, in, 5, 7}).requires_grad_(), weight = torch::randn({2, out, 10, 14});
    const auto gradients = [&](const at::Tensor& y) {
      return torch::autograd::grad({(y * weight).sum()}, {x, conv->weight, conv->bias});
    };
    const at::Tensor fast = native_up_conv(x, *conv), slow = conv->forward(x);
    EXPECT_LT(relative_error(fast, slow), 1e-5);
    const auto actual = gradients(fast), expected = gradients(slow);
    for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_LT(relative_error(actual[i], expected[i]), 1e-5) << i;
  }
}

// What the native blocks are compared with: LibTorch's form of a block, in double, against finite differences.
TEST(TorchDoubleConv, EveryGradientEqualsFiniteDifferences) {
  torch::manual_seed(5);
  DoubleConv block(3, 2, Kernels::kTorch);
  block->to(at::kDouble);
  const auto random = [](at::IntArrayRef shape) { return torch::randn(shape, at::kDouble); };
  const at::Tensor first = random({2, 1, 4, 6}).requires_grad_(), second = random({2, 2, 4, 6}).requires_grad_();
  const at::Tensor weight = random({2, 2, 4, 6}), pooled_weight = random({2, 2, 2, 3});
  const auto loss = [&] {
    const BlockOutput output = block->forward_parts({first, second}, true);
    return (output.features * weight).sum() + (output.pooled * pooled_weight).sum();
  };
  std::vector<at::Tensor> leaves = block->parameters();
  leaves.insert(leaves.end(), {first, second});
  const auto gradients = torch::autograd::grad({loss()}, leaves);
  const torch::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
    const at::Tensor values = leaves[leaf].view(-1), gradient = gradients[leaf].reshape(-1);
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const auto loss_at = [&](double step) {
        values[i] += step;
        const double value = loss().item<double>();
        values[i] -= step;
        return value;
      };
      const double expected = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      EXPECT_NEAR(gradient[i].item<double>(), expected, 1e-6 * std::max(1.0, std::abs(expected))) << leaf << ", " << i;
    }
  }
}

// Noisy images of bright lines, and where the lines are.
std::pair<at::Tensor, at::Tensor> lines(std::int64_t batch) {
  const at::Tensor across = torch::rand({batch, 1, 32}) < 0.1, down = torch::rand({batch, 32, 1}) < 0.1;
  const at::Tensor mask = across.logical_or(down).to(at::kLong);
  return {torch::randn({batch, 1, 32, 32}) + 2 * mask.unsqueeze(1), mask};
}

// Losses of some steps, and at the end the loss in evaluation mode. The first weights are changed by `disturbance` of
// themselves.
std::vector<double> losses(Kernels kernels, int steps, double disturbance = 0) {
  torch::manual_seed(1);
  UNet unet(UNetOptions{1, 2, 16, kernels});
  {
    const torch::NoGradGuard no_grad;
    for (at::Tensor& weight : unet->parameters()) weight.mul_(1 + disturbance * torch::randn_like(weight));
  }
  torch::optim::AdamW optimizer(unet->parameters(), torch::optim::AdamWOptions(1e-3));
  std::vector<double> values;
  torch::manual_seed(2);
  for (int step = 0; step < steps; ++step) {
    const auto [images, masks] = lines(4);
    optimizer.zero_grad();
    const at::Tensor loss = segmentation_loss(unet->forward(images), masks).total;
    loss.backward();
    optimizer.step();
    values.push_back(loss.item<double>());
  }
  unet->eval();
  const torch::NoGradGuard no_grad;
  const auto [images, masks] = lines(16);
  values.push_back(segmentation_loss(unet->forward(images), masks).total.item<double>());
  return values;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b, std::size_t count) {
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;  // once NaN, always NaN
  }
  return largest;
}

// The scale of noise is what LibTorch itself makes of first weights that differ by 1e-5.
TEST(NativeUNet, LearnsAsLibTorchDoes) {
  const std::vector<double> native = losses(Kernels::kNative, 200), torch = losses(Kernels::kTorch, 200);
  const std::vector<double> disturbed = losses(Kernels::kTorch, 200, 1e-5);
  for (const std::size_t steps : {20, 50, 201}) {
    EXPECT_LT(largest_difference(native, torch, steps), 5 * largest_difference(disturbed, torch, steps)) << steps;
  }
  EXPECT_LT(torch[199], 0.2 * torch[0]);  // something was learned
}

TEST(NativeUNet, LearnsTheSameTwice) { EXPECT_EQ(losses(Kernels::kNative, 5), losses(Kernels::kNative, 5)); }

TEST(NativeBlocks, AreUsedOnlyWhereTheyHold) {
  const at::Tensor x = torch::zeros({1, 16, 4, 4});
  EXPECT_TRUE(native_applies(x, true));
  EXPECT_FALSE(native_applies(x.to(at::kDouble), true));
  EXPECT_FALSE(native_applies(x, false));  // a gradient in evaluation mode
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(native_applies(x, false));
}

}  // namespace
}  // namespace cmunet::nn
