// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"
#include "cmunet/nn/count.h"
#include "cmunet/ssl/cm_unet.h"
#include "cmunet/ssl/momentum.h"

namespace cmunet::ssl {
namespace {

// Small enough to run in milliseconds: 64 px crops, 48 px views, base width 2.
CmUnetOptions small_options() {
  CmUnetOptions options;
  options.views.crop_size = 64;
  options.views.view_size = 48;
  options.views.max_shift = 15;
  options.projector_hidden = 32;
  options.embedding = 16;
  return options;
}

double part_of(const Loss& loss, const std::string& name) {
  for (const auto& [key, value] : loss.parts) {
    if (key == name) return value.item<double>();
  }
  return std::nan("");
}

bool has_gradient(const torch::nn::Module& module) {
  for (const auto& parameter : module.parameters()) {
    if (parameter.grad().defined() && parameter.grad().abs().max().item<double>() > 0) return true;
  }
  return false;
}

TEST(CmUnetModule, HasThePublishedParameterCounts) {
  CmUnetOptions paper;  // 224² views
  const CmUnetModule module(nn::UNetOptions{}, paper);
  const auto rows = nn::count_children(*module);
  const auto total_of = [&](const std::string& name) {
    for (const auto& row : rows) {
      if (row.module == name) return row.total();
    }
    return std::int64_t{-1};
  };
  EXPECT_EQ(total_of("unet"), 31'042'434);
  EXPECT_EQ(total_of("feature_decoder"), 12'192'450);
  EXPECT_EQ(total_of("projector"), 77'468'160);
  EXPECT_EQ(total_of("predictor"), 791'040);
  EXPECT_EQ(total_of("adapter"), 262'400);
  EXPECT_EQ(total_of("momentum_encoder"), 18'849'984);
  EXPECT_EQ(total_of("momentum_projector"), 77'468'160);
  const auto sum = nn::sum_of(rows);
  EXPECT_EQ(sum.trainable, 121'494'084);
  EXPECT_EQ(sum.total(), 218'074'628);
}

class CmUnetTest : public ::testing::Test {
 protected:
  CmUnetTest() { torch::set_num_threads(2); }

  static std::unique_ptr<CmUnet> make(const CmUnetOptions& options) {
    torch::manual_seed(11);
    return std::make_unique<CmUnet>(nn::UNetOptions{1, 2, 2}, options);
  }

  at::Tensor images = (torch::manual_seed(5), torch::randn({4, 1, 64, 64}));
  std::vector<Rng> rngs = augment::image_rngs(Rng(3), 0, 4);
};

TEST_F(CmUnetTest, MomentumCopiesStartEqualAndFrozen) {
  const auto method = make(small_options());
  auto& module = dynamic_cast<CmUnetModuleImpl&>(method->module());
  const auto online = module.unet->encoder()->parameters();
  const auto target = module.momentum_encoder->parameters();
  for (std::size_t i = 0; i < online.size(); ++i) {
    EXPECT_TRUE(online[i].equal(target[i]));
    EXPECT_FALSE(target[i].requires_grad());
  }
  EXPECT_FALSE(module.adapter->weight.requires_grad());
}

TEST_F(CmUnetTest, InputsAreMaskedPerSampleWithZeros) {
  const auto method = make(small_options());
  const auto inputs = method->make_inputs(images, rngs);
  ASSERT_EQ(inputs.size(), 4U);
  for (const auto& tensor : inputs) EXPECT_EQ(tensor.sizes(), (std::vector<std::int64_t>{4, 1, 48, 48}));
  EXPECT_EQ((inputs[0] * inputs[2]).abs().max().item<double>(), 0);      // hidden pixels are 0
  EXPECT_TRUE((inputs[0] + inputs[1] * inputs[2]).allclose(inputs[1]));  // visible ones are the view's
  EXPECT_FALSE(inputs[2][0].equal(inputs[2][1]) && inputs[2][1].equal(inputs[2][2]));
}

TEST_F(CmUnetTest, GradientsReachTheOnlineSideAndNothingElse) {
  const auto method = make(small_options());
  auto& module = dynamic_cast<CmUnetModuleImpl&>(method->module());
  method->loss(method->make_inputs(images, rngs)).total.backward();
  EXPECT_TRUE(has_gradient(*module.unet->encoder()));
  EXPECT_TRUE(has_gradient(*module.unet->decoder()));
  EXPECT_TRUE(has_gradient(*module.feature_decoder));
  EXPECT_TRUE(has_gradient(*module.projector));
  EXPECT_TRUE(has_gradient(*module.predictor));
  EXPECT_FALSE(has_gradient(*module.adapter));
  EXPECT_FALSE(has_gradient(*module.momentum_encoder));
  EXPECT_FALSE(has_gradient(*module.momentum_projector));
}

TEST_F(CmUnetTest, ATrainedAdapterGetsAGradientAndTheMomentumSideDoesNot) {
  auto options = small_options();
  options.train_adapter = true;
  const auto method = make(options);
  auto& module = dynamic_cast<CmUnetModuleImpl&>(method->module());
  method->loss(method->make_inputs(images, rngs)).total.backward();
  EXPECT_TRUE(has_gradient(*module.adapter));
  EXPECT_FALSE(has_gradient(*module.momentum_encoder));
  EXPECT_FALSE(has_gradient(*module.momentum_projector));
}

TEST_F(CmUnetTest, TotalIsTheWeightedSum) {
  auto options = small_options();
  options.lambda_r = 0.7;
  options.lambda_c = 0.3;
  const auto method = make(options);
  const Loss loss = method->loss(method->make_inputs(images, rngs));
  EXPECT_NEAR(loss.total.item<double>(),
              0.7 * part_of(loss, "loss_reconstruction") + 0.3 * part_of(loss, "loss_contrastive"), 1e-5);
}

TEST_F(CmUnetTest, EitherTermCanStandAlone) {
  auto reconstruction = small_options();
  reconstruction.lambda_c = 0;
  const Loss r = make(reconstruction)->loss(make(reconstruction)->make_inputs(images, rngs));
  EXPECT_TRUE(std::isnan(part_of(r, "loss_contrastive")));
  EXPECT_GT(part_of(r, "loss_reconstruction"), 0);
  auto contrast = small_options();
  contrast.lambda_r = 0;
  const Loss c = make(contrast)->loss(make(contrast)->make_inputs(images, rngs));
  EXPECT_TRUE(std::isnan(part_of(c, "loss_reconstruction")));
  EXPECT_GT(part_of(c, "loss_contrastive"), 0);
  contrast.lambda_c = 0;
  EXPECT_THROW(make(contrast), Error);
}

TEST_F(CmUnetTest, LossFallsWhenTheSameBatchIsLearntAgain) {
  const auto method = make(small_options());
  const auto inputs = method->make_inputs(images, rngs);
  torch::optim::Adam optimizer(method->module().parameters(), 3e-3);
  const double before = method->loss(inputs).total.item<double>();
  for (int step = 0; step < 40; ++step) {
    optimizer.zero_grad();
    method->loss(inputs).total.backward();
    optimizer.step();
    method->after_step();
  }
  EXPECT_LT(method->loss(inputs).total.item<double>(), 0.7 * before);
}

TEST_F(CmUnetTest, SameSeedSameLoss) {
  const auto run = [&] {
    auto local = augment::image_rngs(Rng(9), 0, 4);
    const auto method = make(small_options());
    return method->loss(method->make_inputs(images, local)).total.item<double>();
  };
  EXPECT_EQ(run(), run());
}

TEST_F(CmUnetTest, PicturesLeaveTheModuleAsItWas) {
  const auto method = make(small_options());
  auto& module = dynamic_cast<CmUnetModuleImpl&>(method->module());
  const auto before = module.unet->named_buffers()["down_conv1.double_conv.double_conv.1.running_mean"].clone();
  const Pictures pictures = method->pictures(method->make_inputs(images, rngs));
  EXPECT_EQ(pictures.reconstruction.sizes(), pictures.target.sizes());
  EXPECT_TRUE(module.is_training());
  EXPECT_TRUE(before.equal(module.unet->named_buffers()["down_conv1.double_conv.double_conv.1.running_mean"]));
}

TEST(UpdateMomentum, IsTheConvexCombination) {
  torch::nn::Linear target(3, 2), online(3, 2);
  const auto expected = target->weight.detach() * 0.9 + online->weight.detach() * 0.1;
  update_momentum(*target, *online, 0.9);
  EXPECT_TRUE(target->weight.allclose(expected, 1e-6, 1e-7));
  update_momentum(*target, *online, 0.0);
  EXPECT_TRUE(target->weight.equal(online->weight));
}

TEST(CmUnetOptions, ChecksNameTheKey) {
  auto options = small_options();
  options.mask_ratio = 1.0;
  try {
    options.check();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("pretrain.cm_unet.mask_ratio"), std::string::npos);
  }
  options = small_options();
  options.patch_size = 20;
  EXPECT_THROW(options.check(), Error);
}

}  // namespace
}  // namespace cmunet::ssl
