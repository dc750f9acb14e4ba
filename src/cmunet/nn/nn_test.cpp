// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/nn/count.h"
#include "cmunet/nn/heads.h"
#include "cmunet/nn/losses.h"
#include "cmunet/nn/unet.h"

namespace cmunet::nn {
namespace {

std::int64_t count_of(const std::vector<ParameterCount>& rows, const std::string& module) {
  for (const auto& row : rows) {
    if (row.module == module) return row.total();
  }
  return -1;
}

TEST(UNet, HasThePublishedParameterCounts) {
  const UNet unet(UNetOptions{});
  const auto rows = count_children(*unet);
  EXPECT_EQ(count_of(rows, "down_conv1"), 37'824);
  EXPECT_EQ(count_of(rows, "down_conv2"), 221'952);
  EXPECT_EQ(count_of(rows, "down_conv3"), 886'272);
  EXPECT_EQ(count_of(rows, "down_conv4"), 3'542'016);
  EXPECT_EQ(count_of(rows, "double_conv"), 14'161'920);
  EXPECT_EQ(count_of(rows, "up_conv4"), 9'178'624);
  EXPECT_EQ(count_of(rows, "up_conv3"), 2'295'552);
  EXPECT_EQ(count_of(rows, "up_conv2"), 574'336);
  EXPECT_EQ(count_of(rows, "up_conv1"), 143'808);
  EXPECT_EQ(count_of(rows, "conv_last"), 130);
  EXPECT_EQ(sum_of(rows).total(), 31'042'434);
  EXPECT_EQ(count_parameters("encoder", *unet->encoder()).total(), 18'849'984);
  EXPECT_EQ(count_parameters("decoder", *unet->decoder()).total(), 12'192'450);
  EXPECT_EQ(count_parameters("one class", *UNet(UNetOptions{1, 1, 64})).total(), 31'042'369);
}

TEST(UNet, NamesAreTheReferenceNames) {
  const UNet unet(UNetOptions{1, 2, 2});
  const auto names = unet->named_parameters().keys();
  EXPECT_EQ(names.front(), "down_conv1.double_conv.double_conv.0.weight");
  EXPECT_NE(std::find(names.begin(), names.end(), "double_conv.double_conv.4.bias"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "up_conv4.up_sample.weight"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "up_conv1.double_conv.double_conv.3.weight"), names.end());
  EXPECT_EQ(names.back(), "conv_last.bias");
  EXPECT_EQ(names.size(), 82U);  // 18 convolutions and 18 norms, 4 up-samplings, 1 last: 41 pairs
}

TEST(UNet, RejectsSizesThatAreNotMultiplesOfSixteen) {
  UNet unet(UNetOptions{1, 2, 2});
  EXPECT_EQ(unet->forward(torch::zeros({1, 1, 32, 48})).sizes(), (std::vector<std::int64_t>{1, 2, 32, 48}));
  EXPECT_THROW(unet->forward(torch::zeros({1, 1, 40, 32})), Error);
  EXPECT_THROW(unet->forward(torch::zeros({1, 2, 32, 32})), Error);
  EXPECT_THROW(UNet(UNetOptions{1, 2, 0}), Error);
}

TEST(UNet, TrainAndEvalReachEveryBlock) {
  UNet unet(UNetOptions{1, 2, 2});
  unet->eval();
  for (const auto& module : unet->modules(false)) {
    const auto* norm = module->as<torch::nn::BatchNorm2d>();
    EXPECT_TRUE(norm == nullptr || !norm->is_training());
  }
}

TEST(UNet, MacsMatchTheFacts) {
  const UNetOptions paper;
  EXPECT_NEAR(encoder_macs(paper, 256, 256) / 1e9, 16.949, 0.001);
  EXPECT_NEAR(decoder_macs(paper, 256, 256) / 1e9, 31.147, 0.001);
  EXPECT_NEAR(encoder_macs(paper, 224, 224) / 1e9, 12.977, 0.001);
  EXPECT_NEAR(decoder_macs(paper, 224, 224) / 1e9, 23.847, 0.001);
}

TEST(ProjectionHead, HasThePublishedParameterCounts) {
  EXPECT_EQ(count_parameters("projector", *ProjectionHead(50'176, 1536, 256)).total(), 77'468'160);
  EXPECT_EQ(count_parameters("predictor", *ProjectionHead(256, 1536, 256)).total(), 791'040);
}

TEST(Init, KaimingFanOutHasTheRightSpread) {
  torch::manual_seed(1);
  UNet unet(UNetOptions{1, 2, 16});
  init_kaiming_fan_out(*unet->encoder());
  const auto parameters = unet->named_parameters();
  const auto& weight = parameters["double_conv.double_conv.3.weight"];
  EXPECT_NEAR(weight.std().item<double>(), std::sqrt(2.0 / (256 * 9)), 5e-4);
  EXPECT_EQ(parameters["double_conv.double_conv.3.bias"].abs().max().item<double>(), 0);
  // The decoder is not touched: its biases are not zero.
  EXPECT_GT(parameters["up_conv1.up_sample.bias"].abs().max().item<double>(), 0);
}

TEST(Init, DefaultIsTheFrameworks) {
  torch::manual_seed(7);
  UNet unet(UNetOptions{1, 2, 4});
  const auto weight = unet->named_parameters()["up_conv4.up_sample.weight"];
  const double bound = 1 / std::sqrt(32.0 * 4);  // fan-in of a transposed convolution: out · k²
  EXPECT_LE(weight.abs().max().item<double>(), bound);
  EXPECT_NEAR(weight.std().item<double>(), bound / std::sqrt(3.0), 0.01 * bound);
}

TEST(SoftDiceLoss, ClosedForms) {
  const auto target = torch::tensor({1., 0., 1., 0.}, torch::kDouble).view({1, 2, 2});
  EXPECT_NEAR(soft_dice_loss(target.clone(), target).item<double>(), 0, 1e-9);
  EXPECT_NEAR(soft_dice_loss(1 - target, target).item<double>(), 1, 1e-5);
  // p = 1/2 everywhere: 1 - 2·(2·½) / (4·½ + 2) = ½
  EXPECT_NEAR(soft_dice_loss(torch::full_like(target, 0.5), target, 0).item<double>(), 0.5, 1e-12);
  const auto empty = torch::zeros_like(target);
  EXPECT_NEAR(soft_dice_loss(empty, empty).item<double>(), 0, 1e-12);
}

TEST(SoftDiceLoss, HasAGradientThatMatchesFiniteDifferences) {
  torch::manual_seed(3);
  const auto target = (torch::rand({2, 4, 4}) > 0.5).to(torch::kDouble);
  auto prob = torch::rand({2, 4, 4}, torch::kDouble).requires_grad_();
  soft_dice_loss(prob, target).backward();
  EXPECT_GT(prob.grad().abs().min().item<double>(), 0);
  const double h = 1e-6;
  for (const std::int64_t i : {0, 5, 31}) {
    auto up = prob.detach().clone(), down = prob.detach().clone();
    up.view({-1})[i] += h;
    down.view({-1})[i] -= h;
    const double slope = (soft_dice_loss(up, target) - soft_dice_loss(down, target)).item<double>() / (2 * h);
    EXPECT_NEAR(prob.grad().view({-1})[i].item<double>(), slope, 1e-7);
  }
}

TEST(SegmentationLoss, IsDiceOfTheVesselChannelPlusCrossEntropy) {
  torch::manual_seed(5);
  const auto logits = torch::randn({2, 2, 4, 4}, torch::kDouble);
  const auto target = (torch::rand({2, 4, 4}) > 0.7).to(torch::kUInt8);
  const auto loss = segmentation_loss(logits, target, 0.5);
  const auto prob = torch::softmax(logits, 1);
  double ce = 0;
  for (int n = 0; n < 2; ++n) {
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 4; ++x) {
        ce -= std::log(prob[n][target[n][y][x].item<int>()][y][x].item<double>()) / 32;
      }
    }
  }
  EXPECT_NEAR(loss.cross_entropy.item<double>(), ce, 1e-12);
  EXPECT_NEAR(loss.total.item<double>(), soft_dice_loss(prob.select(1, 1), target).item<double>() + 0.5 * ce, 1e-12);
  EXPECT_THROW(segmentation_loss(logits, target.narrow(1, 0, 2)), Error);
}

TEST(MaskedMse, CountsMaskedPixelsOnly) {
  auto pred = torch::zeros({1, 1, 2, 2});
  const auto target = torch::tensor({1.F, 2.F, 3.F, 4.F}).view({1, 1, 2, 2});
  const auto masked = torch::tensor({1.F, 0.F, 1.F, 0.F}).view({1, 1, 2, 2});
  EXPECT_FLOAT_EQ(masked_mse(pred, target, masked).item<float>(), 5.F);  // (1 + 9) / 2
  EXPECT_FLOAT_EQ(masked_mse(pred, target, torch::zeros_like(masked)).item<float>(), 0.F);
}

TEST(InfoNce, ClosedForms) {
  const auto same = torch::ones({8, 4}, torch::kDouble);
  EXPECT_NEAR(info_nce(same, same, 0.07).item<double>(), std::log(8.0), 1e-9);
  const auto orthogonal = torch::eye(6, torch::kDouble) * 3;  // length does not matter
  const double e = std::exp(1 / 0.07);
  EXPECT_NEAR(info_nce(orthogonal, orthogonal, 0.07).item<double>(), -std::log(e / (e + 5)), 1e-9);
  EXPECT_THROW(info_nce(same, same, 0), Error);
  EXPECT_THROW(info_nce(same, torch::ones({8, 5}, torch::kDouble), 0.07), Error);
}

TEST(InfoNce, MatchesALoop) {
  torch::manual_seed(2);
  const auto p = torch::randn({3, 5}, torch::kDouble);
  const auto k = torch::randn({4, 5}, torch::kDouble);
  const auto loss = info_nce(p, k, 0.2);
  double expected = 0;
  for (int i = 0; i < 3; ++i) {
    double sum = 0, positive = 0;
    for (int j = 0; j < 4; ++j) {
      const double cosine = ((p[i] * k[j]).sum() / (p[i].norm() * k[j].norm())).item<double>();
      sum += std::exp(cosine / 0.2);
      if (i == j) positive = cosine / 0.2;
    }
    expected += (std::log(sum) - positive) / 3;
  }
  EXPECT_NEAR(loss.item<double>(), expected, 1e-12);
}

TEST(NormaliseTarget, PatchesAndRowsHaveZeroMeanAndUnitVariance) {
  torch::manual_seed(4);
  const auto images = torch::randn({2, 1, 32, 48}, torch::kDouble) * 3 + 1;
  EXPECT_TRUE(normalise_target(images, TargetNorm::kNone, 16).equal(images));
  const auto patch = normalise_target(images, TargetNorm::kPatch, 16).slice(2, 16, 32).slice(3, 32, 48)[1];
  EXPECT_NEAR(patch.mean().item<double>(), 0, 1e-9);
  EXPECT_NEAR(patch.var().item<double>(), 1, 1e-5);
  const auto row = normalise_target(images, TargetNorm::kRow, 16)[0][0][7];
  EXPECT_NEAR(row.mean().item<double>(), 0, 1e-9);
  EXPECT_NEAR(row.var().item<double>(), 1, 1e-5);
  EXPECT_THROW(normalise_target(images, TargetNorm::kPatch, 20), Error);
}

}  // namespace
}  // namespace cmunet::nn
