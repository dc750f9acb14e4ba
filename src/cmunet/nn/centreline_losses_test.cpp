// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/centreline_losses.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "cmunet/base/error.h"

namespace cmunet::nn {
namespace {

// [1, 16, 16] with ones in rows y0…y1 and columns x0…x1, both included.
at::Tensor box(int y0, int y1, int x0, int x1) {
  at::Tensor image = torch::zeros({1, 16, 16}, torch::kDouble);
  image.slice(1, y0, y1 + 1).slice(2, x0, x1 + 1).fill_(1);
  return image;
}

double value_at(const at::Tensor& image, int y, int x) {
  return image[0][std::clamp(y, 0, 15)][std::clamp(x, 0, 15)].item<double>();
}

// The definition, pixel by pixel.
at::Tensor skeleton_by_loops(at::Tensor image, int iterations) {
  const auto map = [](const auto& pixel) {
    at::Tensor result = torch::zeros({1, 16, 16}, torch::kDouble);
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) result[0][y][x] = pixel(y, x);
    }
    return result;
  };
  at::Tensor skeleton = torch::zeros_like(image);
  for (int i = 0; i <= iterations; ++i) {
    const at::Tensor eroded = map([&](int y, int x) {
      return std::min({value_at(image, y, x), value_at(image, y - 1, x), value_at(image, y + 1, x),
                       value_at(image, y, x - 1), value_at(image, y, x + 1)});
    });
    const at::Tensor opened = map([&](int y, int x) {
      double largest = 0;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) largest = std::max(largest, value_at(eroded, y + dy, x + dx));
      }
      return largest;
    });
    skeleton = map([&](int y, int x) {
      const double removed = std::max(0.0, value_at(image, y, x) - value_at(opened, y, x));
      return value_at(skeleton, y, x) + std::max(0.0, removed - value_at(skeleton, y, x) * removed);
    });
    image = eroded;
  }
  return skeleton;
}

void expect_gradient_of(const std::function<at::Tensor(const at::Tensor&)>& loss, const at::Tensor& at) {
  const at::Tensor prob = at.clone().requires_grad_();
  loss(prob).backward();
  const double h = 1e-7;
  for (const std::int64_t i : {17, 40, 85, 86, 120, 136, 200, 255}) {
    at::Tensor up = at.clone(), down = at.clone();
    up.view({-1})[i] += h;
    down.view({-1})[i] -= h;
    EXPECT_NEAR(prob.grad().view({-1})[i].item<double>(), (loss(up) - loss(down)).item<double>() / (2 * h), 1e-6) << i;
  }
}

TEST(SoftSkeleton, MatchesItsDefinitionByLoops) {
  torch::manual_seed(3);
  const at::Tensor random = torch::rand({1, 16, 16}, torch::kDouble);
  for (const int iterations : {0, 1, 4}) {
    EXPECT_TRUE(soft_skeleton(random, iterations).allclose(skeleton_by_loops(random, iterations), 0, 1e-12));
  }
}

TEST(SoftSkeleton, OfABarOfThreeRowsIsItsMiddle) {
  const at::Tensor skeleton = soft_skeleton(box(6, 8, 3, 12), 3);
  EXPECT_TRUE(skeleton.equal(skeleton * box(6, 8, 3, 12)));  // nothing outside
  EXPECT_TRUE(skeleton.slice(1, 7, 8).slice(2, 4, 12).equal(torch::ones({1, 1, 8}, torch::kDouble)));
  // Off the middle row there is nothing between the ends.
  EXPECT_EQ(skeleton.slice(1, 6, 7).slice(2, 5, 11).sum().item<double>(), 0);
  EXPECT_THROW(soft_skeleton(torch::zeros({4, 4}), 3), Error);
}

TEST(SoftClDiceLoss, ClosedForms) {
  const at::Tensor line = box(8, 8, 2, 13);  // 12 pixels: its own skeleton
  EXPECT_NEAR(soft_cl_dice_loss(line, line, 3).item<double>(), 0, 1e-12);
  // Half of the line: all of the prediction is right (7/7), 6 of 12 are found ((6 + 1) / (12 + 1)).
  const double sensitivity = 7.0 / 13;
  EXPECT_NEAR(soft_cl_dice_loss(box(8, 8, 2, 7), line, 3).item<double>(), 1 - 2 * sensitivity / (1 + sensitivity),
              1e-12);
  // Elsewhere: (0 + 1) / (12 + 1) both ways.
  EXPECT_NEAR(soft_cl_dice_loss(box(3, 3, 2, 13), line, 3).item<double>(), 1 - 1.0 / 13, 1e-12);
  const at::Tensor nothing = torch::zeros_like(line);
  EXPECT_NEAR(soft_cl_dice_loss(nothing, nothing, 3).item<double>(), 0, 1e-12);
  // Width does not matter, only the centreline: a bar of three rows around the line misses nothing and claims little.
  EXPECT_LT(soft_cl_dice_loss(box(7, 9, 2, 13), line, 3).item<double>(), 0.15);
  EXPECT_THROW(soft_cl_dice_loss(line, torch::zeros({1, 8, 16}), 3), Error);
}

TEST(SoftClDiceLoss, HasAGradientThatMatchesFiniteDifferences) {
  torch::manual_seed(9);
  const at::Tensor target = box(5, 8, 2, 13);
  expect_gradient_of([&](const at::Tensor& p) { return soft_cl_dice_loss(p, target, 3); },
                     torch::rand({1, 16, 16}, torch::kDouble));
}

TEST(SkeletonRecallLoss, ClosedFormsAndGradient) {
  const at::Tensor tube = box(7, 9, 2, 13).to(torch::kUInt8);  // 36 pixels
  const at::Tensor wide = box(4, 12, 0, 15);
  EXPECT_NEAR(skeleton_recall_loss(wide, tube).item<double>(), 0, 1e-12);  // too much costs nothing here
  EXPECT_NEAR(skeleton_recall_loss(torch::zeros_like(wide), tube).item<double>(), 1 - 1.0 / 37, 1e-12);
  EXPECT_NEAR(skeleton_recall_loss(wide * 0.5, tube).item<double>(), 1 - 19.0 / 37, 1e-12);
  EXPECT_NEAR(skeleton_recall_loss(wide, torch::zeros_like(tube)).item<double>(), 0, 1e-12);
  torch::manual_seed(9);
  expect_gradient_of([&](const at::Tensor& p) { return skeleton_recall_loss(p, tube); },
                     torch::rand({1, 16, 16}, torch::kDouble));
}

TEST(CentrelineLosses, AreLearntFrom) {
  const at::Tensor target = box(5, 8, 2, 13);
  at::Tensor logits = torch::zeros({1, 16, 16}, torch::kDouble).requires_grad_();
  torch::manual_seed(1);
  {
    const torch::NoGradGuard no_grad;
    logits.add_(torch::randn_like(logits));
  }
  const auto loss = [&] { return soft_cl_dice_loss(torch::sigmoid(logits), target, 3); };
  torch::optim::Adam optimizer({logits}, 0.1);
  const double before = loss().item<double>();
  for (int i = 0; i < 100; ++i) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  EXPECT_LT(loss().item<double>(), 0.2 * before);
}

}  // namespace
}  // namespace cmunet::nn
