// SPDX-License-Identifier: Apache-2.0
// The methods that CM-UNet is compared with.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"
#include "cmunet/nn/count.h"
#include "cmunet/ssl/mae.h"
#include "cmunet/ssl/moco_v2.h"
#include "cmunet/ssl/models_genesis.h"
#include "cmunet/ssl/momentum.h"
#include "cmunet/ssl/spark.h"

namespace cmunet::ssl {
namespace {

constexpr int kSide = 64;

MethodOptions small(MethodKind kind) {
  MethodOptions options;
  options.kind = kind;
  options.unet.base_width = 2;
  options.mae.crop.size = options.spark.crop.size = options.moco_v2.crop.size = kSide;
  options.models_genesis.crop.size = kSide;
  options.moco_v2.queue_size = 10;
  options.cm_unet.views = {.crop_size = 64, .view_size = 48, .max_shift = 15};
  options.cm_unet.projector_hidden = 16;
  options.cm_unet.embedding = 8;
  return options;
}

std::int64_t parameters_of(const torch::nn::Module& module) { return nn::count_parameters("", module).total(); }

TEST(ParameterCounts, AreThoseOfTheComparisonTable) {
  const nn::UNetOptions base64;
  EXPECT_EQ(parameters_of(Mae(base64, {}).module()), 31'042'369);
  EXPECT_EQ(parameters_of(ModelsGenesis(base64, {}).module()), 31'042'369);
  MocoV2 moco(base64, {});
  const nn::ParameterCount count = nn::count_parameters("", moco.module());
  EXPECT_EQ(count.trainable, 18'849'984);
  EXPECT_EQ(count.total(), 37'699'968);
  Spark spark(base64, {});
  EXPECT_EQ(parameters_of(spark.module()), 31'044'353);
  // The table's 34.18 M: five projections in → out, k × k with bias, that the published code builds and never uses.
  const auto projection = [](int in, int out, int k) { return std::int64_t{in} * out * k * k + out; };
  EXPECT_EQ(parameters_of(spark.module()) + projection(1024, 768, 1) + projection(512, 384, 3) +
                projection(256, 192, 3) + projection(128, 96, 3) + projection(64, 48, 3),
            34'182'353);
}

class EveryMethod : public ::testing::TestWithParam<MethodKind> {
 protected:
  EveryMethod() { torch::set_num_threads(2); }
  std::unique_ptr<Method> make() const { return make_method(small(GetParam()), 3); }
  at::Tensor images = (torch::manual_seed(5), torch::randn({4, 1, 72, 80}));
  std::vector<Rng> rngs = augment::image_rngs(Rng(3), 0, 4);
};

TEST_P(EveryMethod, LossFallsWhenTheSameBatchIsLearntAgain) {
  const auto method = make();
  for (int i = 0; i < 3; ++i) {  // a queue of random keys would make contrast trivial
    method->loss(method->make_inputs(torch::randn({4, 1, 72, 80}), rngs));
    method->after_step();
  }
  const auto inputs = method->make_inputs(images, rngs);
  torch::optim::Adam optimizer(method->module().parameters(), 3e-3);
  const double before = method->loss(inputs).total.item<double>();
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    method->loss(inputs).total.backward();
    optimizer.step();
  }
  EXPECT_LT(method->loss(inputs).total.item<double>(), 0.9 * before);
}

TEST_P(EveryMethod, InputsFollowTheSeedAndHaveTheSizeItSays) {
  const auto method = make();
  auto a = augment::image_rngs(Rng(9), 0, 4), b = a;
  const auto first = method->make_inputs(images, a), second = method->make_inputs(images, b);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(first[i].equal(second[i]));
    EXPECT_EQ(first[i].size(2), method->input_size());
    EXPECT_EQ(first[i].size(3), method->input_size());
    EXPECT_FALSE(first[i].requires_grad());
  }
}

TEST_P(EveryMethod, TheBackboneLoadsIntoAUNetByName) {
  const auto method = make();
  const auto target = nn::UNet(nn::UNetOptions{1, 2, 2})->named_parameters();
  for (const auto& item : method->backbone().named_parameters()) {
    if (item.key().starts_with("conv_last")) continue;
    ASSERT_NE(target.find(item.key()), nullptr) << item.key();
    EXPECT_EQ(target[item.key()].sizes(), item.value().sizes());
  }
}

TEST_P(EveryMethod, PicturesLeaveTheModuleTraining) {
  const auto method = make();
  const Pictures pictures = method->pictures(method->make_inputs(images, rngs));
  EXPECT_TRUE(method->module().is_training());
  if (GetParam() == MethodKind::kMocoV2) {
    EXPECT_FALSE(pictures.reconstruction.defined());
  } else {
    EXPECT_EQ(pictures.reconstruction.sizes(), pictures.target.sizes());
  }
}

INSTANTIATE_TEST_SUITE_P(Ssl, EveryMethod,
                         ::testing::Values(MethodKind::kCmUnet, MethodKind::kMae, MethodKind::kSpark,
                                           MethodKind::kMocoV2, MethodKind::kModelsGenesis),
                         [](const auto& parameter) { return std::string(to_string(parameter.param)); });

TEST(Mae, CountsHiddenPixelsOrAll) {
  MethodOptions options = small(MethodKind::kMae);
  const at::Tensor crop = torch::ones({2, 1, kSide, kSide});
  at::Tensor masked = torch::zeros_like(crop);
  masked.narrow(2, 0, 32).fill_(1);
  const auto loss_of = [&](bool masked_only) {
    options.mae.masked_only = masked_only;
    torch::manual_seed(1);
    Mae mae(options.unet, options.mae);
    mae.module().eval();
    const at::Tensor error = (dynamic_cast<nn::UNetImpl&>(mae.module()).forward(crop * (1 - masked)) - crop).square();
    const double expected = masked_only ? error.narrow(2, 0, 32).mean().item<double>() : error.mean().item<double>();
    EXPECT_NEAR(mae.loss({crop * (1 - masked), crop, masked}).total.item<double>(), expected, 1e-5);
  };
  loss_of(true);
  loss_of(false);
}

TEST(ModelsGenesis, TargetIsTheImageAndInputADistortionOfIt) {
  MethodOptions options = small(MethodKind::kModelsGenesis);
  options.models_genesis.crop.flip_probability = 0;
  ModelsGenesis method(options.unet, options.models_genesis);
  torch::manual_seed(2);
  const at::Tensor images = torch::randn({3, 1, kSide, kSide});
  auto rngs = augment::image_rngs(Rng(1), 0, 3);
  const auto inputs = method.make_inputs(images, rngs);
  EXPECT_TRUE(inputs[1].allclose(images, 1e-5, 1e-5));
  EXPECT_GT((inputs[0] - images).abs().mean().item<double>(), 0.1);
}

TEST(Enqueue, ReplacesTheOldestAndWrapsRound) {
  at::Tensor queue = torch::zeros({5, 1});
  const auto keys = [](std::vector<float> values) { return torch::tensor(values).view({-1, 1}); };
  at::Tensor next = torch::zeros({1}, at::kLong);
  enqueue(queue, next, keys({1, 2, 3}));
  EXPECT_EQ(next.item<std::int64_t>(), 3);
  enqueue(queue, next, keys({4, 5, 6}));
  EXPECT_EQ(next.item<std::int64_t>(), 1);
  EXPECT_TRUE(queue.equal(keys({6, 2, 3, 4, 5})));
  enqueue(queue, next, keys({1, 2, 3, 4, 5, 6, 7}));  // more than fit: the last five
  EXPECT_EQ(next.item<std::int64_t>(), 1);
  EXPECT_TRUE(std::get<0>(queue.flatten().sort()).equal(torch::tensor({3.0F, 4.0F, 5.0F, 6.0F, 7.0F})));
}

TEST(QueueContrast, HasItsClosedForms) {
  const at::Tensor q = torch::eye(2, 4), orthogonal = torch::eye(4).narrow(0, 2, 2);
  const double tau = 0.2;
  // Positive similarity 1 against two orthogonal negatives.
  EXPECT_NEAR(queue_contrast(q, q, orthogonal, tau).item<double>(),
              -std::log(std::exp(1 / tau) / (std::exp(1 / tau) + 2)), 1e-6);
  // Everything alike: chance among K + 1.
  const at::Tensor same = torch::eye(1, 4).expand({6, 4});
  EXPECT_NEAR(queue_contrast(same, same, same, tau).item<double>(), std::log(7.0), 1e-6);
}

TEST(MocoV2, KeysEnterTheQueueAfterTheStepAndTheKeySideFollows) {
  MethodOptions options = small(MethodKind::kMocoV2);
  options.moco_v2.mlp_head = true;
  options.moco_v2.momentum = 0.75;
  torch::manual_seed(4);
  MocoV2 method(options.unet, options.moco_v2);
  auto& module = dynamic_cast<MocoV2ModuleImpl&>(method.module());
  auto rngs = augment::image_rngs(Rng(1), 0, 3);
  torch::manual_seed(5);
  const auto inputs = method.make_inputs(torch::randn({3, 1, kSide, kSide}), rngs);
  const at::Tensor before = module.queue.clone();
  method.loss(inputs).total.backward();
  EXPECT_TRUE(module.queue.equal(before));
  for (const auto& parameter : module.key_encoder->parameters()) EXPECT_FALSE(parameter.grad().defined());
  const at::Tensor expected =
      module.key_encoder->parameters()[0] * 0.75 + (module.query_encoder->parameters()[0].detach() + 1) * 0.25;
  {
    const torch::NoGradGuard no_grad;
    module.query_encoder->parameters()[0].add_(1);
  }
  method.after_step();
  EXPECT_TRUE(module.key_encoder->parameters()[0].allclose(expected));
  EXPECT_FALSE(module.queue.narrow(0, 0, 3).equal(before.narrow(0, 0, 3)));
  EXPECT_TRUE(module.queue.narrow(0, 3, 7).equal(before.narrow(0, 3, 7)));
  EXPECT_EQ(module.queue_next.item<std::int64_t>(), 3);
  EXPECT_TRUE(module.queue.norm(2, 1).allclose(torch::ones({10})));
}

}  // namespace
}  // namespace cmunet::ssl
