// SPDX-License-Identifier: Apache-2.0
// Every method learns the same from native kernels as from LibTorch's.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "cmunet/augment/image_rngs.h"
#include "cmunet/ssl/method.h"

namespace cmunet::ssl {
namespace {

class NativeKernels : public ::testing::TestWithParam<MethodKind> {
 protected:
  // A method with its loss on one batch and the gradients of all that it optimises.
  struct Step {
    explicit Step(MethodKind kind, nn::Kernels kernels) {
      MethodOptions options;
      options.kind = kind;
      options.unet = {.base_width = 16, .kernels = kernels};
      options.cm_unet.views = {.crop_size = 64, .view_size = 48, .max_shift = 15};
      options.cm_unet.projector_hidden = 16;
      options.cm_unet.embedding = 8;
      method = make_method(options, 1);
      method->module().train();
      torch::manual_seed(2);
      const at::Tensor images = torch::randn({4, 1, 64, 64});
      std::vector<Rng> rngs = augment::image_rngs(Rng(3), 0, images.size(0));
      const at::Tensor total = method->loss(method->make_inputs(images, rngs)).total;
      total.backward();
      loss = total.item<double>();
    }
    std::unique_ptr<Method> method;
    double loss = 0;
  };
};

TEST_P(NativeKernels, LossAndGradientsAreNearLibTorchs) {
  torch::set_num_threads(2);
  const Step torch(GetParam(), nn::Kernels::kTorch), native(GetParam(), nn::Kernels::kNative);
  EXPECT_NEAR(native.loss, torch.loss, 1e-5 * std::abs(torch.loss));
  const auto expected = torch.method->module().named_parameters();
  double difference = 0, length = 0;
  for (const auto& item : native.method->module().named_parameters()) {
    const at::Tensor gradient = item.value().grad(), reference = expected[item.key()].grad();
    ASSERT_EQ(gradient.defined(), reference.defined()) << item.key();
    if (!gradient.defined()) continue;
    difference += (gradient - reference).square().sum().item<double>();
    length += reference.square().sum().item<double>();
  }
  EXPECT_GT(length, 0);
  // Each block's agree to 1e-4 (nn/native_blocks_test.cpp). Through many, rounding decides ties in front of a ReLU or a
  // maximum, and with them which way a gradient takes.
  EXPECT_LT(std::sqrt(difference / length), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Methods, NativeKernels,
                         ::testing::Values(MethodKind::kCmUnet, MethodKind::kMae, MethodKind::kSpark,
                                           MethodKind::kMocoV2, MethodKind::kModelsGenesis));

}  // namespace
}  // namespace cmunet::ssl
