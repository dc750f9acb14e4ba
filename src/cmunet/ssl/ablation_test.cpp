// SPDX-License-Identifier: Apache-2.0
// The switches by which parts of CM-UNet are taken out, and what is logged to find out why contrast fails.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/nn/count.h"
#include "cmunet/ssl/cm_unet.h"
#include "cmunet/ssl/moco_v2.h"
#include "cmunet/ssl/spread.h"

namespace cmunet::ssl {
namespace {

CmUnetOptions tiny_options() {
  CmUnetOptions options;
  options.views = {.crop_size = 64, .view_size = 48, .max_shift = 15};
  options.projector_hidden = 16;
  options.embedding = 8;
  return options;
}

class Ablation : public ::testing::Test {
 protected:
  Ablation() { torch::set_num_threads(2); }

  // One step of plain descent on one batch; gradients stay for inspection.
  void build_and_step() {
    torch::manual_seed(11);
    method = std::make_unique<CmUnet>(nn::UNetOptions{1, 2, 2}, options);
    module = dynamic_cast<CmUnetModuleImpl*>(&method->module());
    inputs = method->make_inputs(images, rngs);
    torch::optim::SGD optimizer(module->parameters(), 0.1);
    loss = method->loss(inputs);
    loss.total.backward();
    optimizer.step();
    method->after_step();
  }

  static bool has_gradient(const torch::nn::Module& part) {
    for (const auto& parameter : part.parameters()) {
      if (parameter.grad().defined()) return true;
    }
    return false;
  }

  CmUnetOptions options = tiny_options();
  at::Tensor images = (torch::manual_seed(5), torch::randn({4, 1, 64, 64}));
  std::vector<Rng> rngs = augment::image_rngs(Rng(3), 0, images.size(0));
  std::unique_ptr<CmUnet> method;
  CmUnetModuleImpl* module = nullptr;
  std::vector<at::Tensor> inputs;
  Loss loss;
};

TEST_F(Ablation, WithoutContrastItsBranchIsNotComputed) {
  options.lambda_c = 0;
  build_and_step();
  EXPECT_TRUE(has_gradient(*module->unet->decoder()));
  EXPECT_FALSE(has_gradient(*module->feature_decoder));
  EXPECT_FALSE(has_gradient(*module->projector));
  EXPECT_FALSE(has_gradient(*module->predictor));
  // Batch norms count the batches that they see.
  for (const auto* part : std::initializer_list<torch::nn::Module*>{&*module->feature_decoder, &*module->projector,
                                                                    &*module->momentum_encoder}) {
    for (const auto& buffer : part->named_buffers()) {
      if (!buffer.key().ends_with("num_batches_tracked")) continue;
      EXPECT_EQ(buffer.value().item<std::int64_t>(), 0) << buffer.key();
    }
  }
  ASSERT_EQ(loss.parts.size(), 1U);
  EXPECT_EQ(loss.parts[0].first, "loss_reconstruction");
}

TEST_F(Ablation, WithoutReconstructionThePixelDecoderLearnsNothingAndShowsNothing) {
  options.lambda_r = 0;
  build_and_step();
  EXPECT_FALSE(has_gradient(*module->unet->decoder()));
  EXPECT_TRUE(has_gradient(*module->unet->encoder()));
  EXPECT_TRUE(has_gradient(*module->feature_decoder));
  EXPECT_FALSE(method->pictures(inputs).reconstruction.defined());
}

TEST_F(Ablation, TheMaskRatioIsTheShareOfHiddenPatches) {
  for (const double ratio : {0.0, 0.25, 0.5, 0.75}) {
    options.mask_ratio = ratio;
    build_and_step();
    const double whole_patches = std::floor(ratio * 9) / 9;  // 48 px hold 3 × 3 patches
    EXPECT_NEAR(inputs[2].mean().item<double>(), whole_patches, 1e-6) << ratio;
  }
}

TEST_F(Ablation, TheTargetIsNormalisedAsAsked) {
  options.lambda_c = 0;
  for (const nn::TargetNorm norm : {nn::TargetNorm::kNone, nn::TargetNorm::kPatch, nn::TargetNorm::kRow}) {
    options.target_norm = norm;
    torch::manual_seed(11);
    CmUnet cm_unet(nn::UNetOptions{1, 2, 2}, options);
    auto& parts = dynamic_cast<CmUnetModuleImpl&>(cm_unet.module());
    const auto made = cm_unet.make_inputs(images, rngs);
    const at::Tensor reconstruction = parts.unet->forward(made[0]).narrow(1, 1, 1);
    const at::Tensor target = nn::normalise_target(made[1], norm, 16);
    EXPECT_NEAR(cm_unet.loss(made).total.item<double>(), nn::masked_mse(reconstruction, target, made[2]).item<double>(),
                1e-5);
  }
}

// Eq. 2 from the parts: the online side of the masked view against the momentum side of the other one.
TEST_F(Ablation, ContrastIsBetweenTheTwoViews) {
  options.lambda_r = 0;
  options.lambda_c = 1;
  for (const double temperature : {0.07, 0.5}) {
    options.temperature = temperature;
    torch::manual_seed(11);
    CmUnet cm_unet(nn::UNetOptions{1, 2, 2}, options);
    cm_unet.module().eval();  // batch norms alter nothing from one pass to the next
    auto& parts = dynamic_cast<CmUnetModuleImpl&>(cm_unet.module());
    const auto made = cm_unet.make_inputs(images, rngs);
    const at::Tensor map = parts.feature_decoder->forward(parts.unet->encoder()->forward(made[0])).mean(1);
    const at::Tensor p = parts.predictor->forward(parts.projector->forward(map.flatten(1)));
    const at::Tensor latent = parts.momentum_encoder->forward(made[3]).latent;
    const at::Tensor k = parts.momentum_projector->forward(parts.adapter->forward(latent).flatten(1));
    EXPECT_NEAR(cm_unet.loss(made).total.item<double>(), nn::info_nce(p, k, temperature).item<double>(), 1e-5);
  }
}

TEST_F(Ablation, TheMomentumSideFollowsEncoderAndProjector) {
  options.momentum = 0.75;
  torch::manual_seed(11);
  CmUnet cm_unet(nn::UNetOptions{1, 2, 2}, options);
  auto& parts = dynamic_cast<CmUnetModuleImpl&>(cm_unet.module());
  const torch::NoGradGuard no_grad;
  const at::Tensor encoder = parts.unet->encoder()->parameters()[0], projector = parts.projector->parameters()[0];
  const at::Tensor old_encoder = parts.momentum_encoder->parameters()[0].clone();
  const at::Tensor old_projector = parts.momentum_projector->parameters()[0].clone();
  encoder.add_(1);
  projector.add_(2);
  cm_unet.after_step();
  EXPECT_TRUE(parts.momentum_encoder->parameters()[0].allclose(0.75 * old_encoder + 0.25 * encoder));
  EXPECT_TRUE(parts.momentum_projector->parameters()[0].allclose(0.75 * old_projector + 0.25 * projector));
}

TEST_F(Ablation, GuidanceHidesPatchesWithVesselsMoreOften) {
  options.views = {.crop_size = 64, .view_size = 64, .max_shift = 0};
  at::Tensor line = torch::zeros({64, 1, 64, 64});
  line.narrow(3, 20, 4).fill_(-3);  // dark, in the second of four columns of patches
  const auto share_on_line = [&](double guidance) {
    options.vessel_guidance = guidance;
    CmUnet cm_unet(nn::UNetOptions{1, 2, 2}, options);
    auto local = augment::image_rngs(Rng(2), 0, 64);
    const auto made = cm_unet.make_inputs(line, local);
    // Where the line came to lie: views may be turned over.
    const at::Tensor on_line = made[1].lt(-1).to(at::kFloat).amax(2, true).expand_as(made[2]);
    return ((made[2] * on_line).sum() / on_line.sum()).item<double>();
  };
  EXPECT_NEAR(share_on_line(0), options.mask_ratio, 0.08);
  EXPECT_GT(share_on_line(1), options.mask_ratio + 0.2);
}

TEST_F(Ablation, TheAdapterStaysRandomUnlessItIsTrained) {
  for (const bool train_adapter : {false, true}) {
    options.train_adapter = train_adapter;
    torch::manual_seed(11);
    const at::Tensor before = CmUnetModule(nn::UNetOptions{1, 2, 2}, options)->adapter->weight.detach().clone();
    build_and_step();
    EXPECT_NE(module->adapter->weight.equal(before), train_adapter);
    EXPECT_EQ(nn::count_parameters("", *module->adapter).trainable > 0, train_adapter);
  }
}

TEST_F(Ablation, TheEncoderStartsFromTheWeightsAskedFor) {
  for (const bool kaiming : {false, true}) {
    options.kaiming_encoder = kaiming;
    torch::manual_seed(11);
    const CmUnetModule made(nn::UNetOptions{1, 2, 8}, options);
    std::size_t filters = 0;
    for (const auto& parameter : made->unet->encoder()->named_parameters()) {
      const at::Tensor& weight = parameter.value();
      if (weight.dim() != 4) continue;
      ++filters;
      const double bound = 1 / std::sqrt(static_cast<double>(weight[0].numel()));  // of PyTorch's uniform weights
      // Normal with variance 2 / fan-out: √2 times the bound or more where the layers are as wide as each other.
      EXPECT_EQ(weight.abs().max().item<double>() > 1.01 * bound, kaiming) << parameter.key();
    }
    EXPECT_EQ(filters, 10U);
    EXPECT_TRUE(made->momentum_encoder->parameters()[0].equal(made->unet->encoder()->parameters()[0]));
  }
}

bool logs(const Loss& loss, const std::string& name) {
  std::vector<std::pair<std::string, at::Tensor>> logged = loss.parts;
  for (const auto& [who, values] : loss.embeddings) {
    std::ranges::copy(named_spread(who, values), std::back_inserter(logged));
  }
  const auto found = std::ranges::find(logged, name, &std::pair<std::string, at::Tensor>::first);
  return found != logged.end() && std::isfinite(found->second.item<double>());
}

TEST_F(Ablation, ContrastIsDiagnosed) {
  build_and_step();
  torch::manual_seed(2);
  MocoV2 moco(nn::UNetOptions{1, 2, 2}, {.crop = {.size = 48}, .queue_size = 8});
  const Loss moco_loss = moco.loss(moco.make_inputs(images, rngs));
  for (const char* name : {"positive_similarity", "negative_similarity", "embedding_sd", "embedding_effective_rank",
                           "embedding_participation_ratio", "key_sd", "key_effective_rank"}) {
    EXPECT_TRUE(logs(loss, name)) << name;
    EXPECT_TRUE(logs(moco_loss, name)) << name;
  }
}

TEST(Spread, IsNothingWhenAllEmbeddingsAreOne) {
  const Spread spread = spread_of(torch::full({6, 4}, 0.5F));
  EXPECT_EQ(spread.sd.item<double>(), 0);
  EXPECT_EQ(spread.effective_rank.item<double>(), 0);
  EXPECT_EQ(spread.participation_ratio.item<double>(), 0);
}

TEST(Spread, IsUndefinedWhenAnEmbeddingIs) {
  at::Tensor embeddings = torch::eye(4, 6);
  embeddings[1][2] = NAN;
  const Spread spread = spread_of(embeddings);
  EXPECT_TRUE(std::isnan(spread.sd.item<double>()));
  EXPECT_TRUE(std::isnan(spread.effective_rank.item<double>()));
  EXPECT_TRUE(std::isnan(spread.participation_ratio.item<double>()));
}

TEST(Spread, CountsTheDirectionsInUse) {
  // ± each axis of three: equal eigenvalues.
  const Spread even = spread_of(torch::cat({torch::eye(3, 7), -torch::eye(3, 7)}));
  EXPECT_NEAR(even.effective_rank.item<double>(), 3, 1e-9);
  EXPECT_NEAR(even.participation_ratio.item<double>(), 3, 1e-9);
  EXPECT_NEAR(even.sd.item<double>(), 3 * std::sqrt(2.0 / 5) / 7, 1e-9);  // three of seven dimensions vary
  // Two directions, one with twice the length: shares 4/5 and 1/5.
  const at::Tensor axes = torch::eye(2, 5) * torch::tensor({2.0F, 1.0F}).view({2, 1});
  const Spread uneven = spread_of(torch::cat({axes, -axes}));
  EXPECT_NEAR(uneven.effective_rank.item<double>(), std::exp(-0.8 * std::log(0.8) - 0.2 * std::log(0.2)), 1e-9);
  EXPECT_NEAR(uneven.participation_ratio.item<double>(), 1 / (0.64 + 0.04), 1e-9);
  const Spread tall = spread_of(torch::cat({axes, -axes, axes, -axes}));  // more embeddings than dimensions
  EXPECT_NEAR(tall.effective_rank.item<double>(), uneven.effective_rank.item<double>(), 1e-9);
}

}  // namespace
}  // namespace cmunet::ssl
