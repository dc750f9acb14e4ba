// SPDX-License-Identifier: Apache-2.0
// Against PyTorch's own values (make_unet_golden.py, make_losses_golden.py), in double precision; and a checkpoint read
// back in Python.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "cmunet/nn/centreline_losses.h"
#include "cmunet/nn/losses.h"
#include "cmunet/nn/unet.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/optimizer.h"

namespace cmunet::train {
namespace {

namespace fs = std::filesystem;

const fs::path kParityFolder = fs::path(CMUNET_SOURCE_DIR) / "tests" / "parity";

class UNetParity : public ::testing::Test {
 protected:
  UNetParity() : golden(SafetensorsFile::open(kParityFolder / "unet_golden.safetensors")) {
    torch::set_num_threads(2);
    unet->to(torch::kDouble);
    load_exactly_named_initial();
  }

  void load_exactly_named_initial() {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : state_of(*unet)) {
      at::Tensor target = tensor;
      target.copy_(to_tensor(golden.at("initial." + name)));
    }
  }

  at::Tensor value(const std::string& name) const { return to_tensor(golden.at(name)); }
  at::Tensor loss() { return nn::segmentation_loss(unet->forward(value("input")), value("target")).total; }

  void expect_losses(const at::Tensor& expected, Optimizer optimizer, double lr = 1e-3) {
    for (std::int64_t step = 0; step < expected.size(0); ++step) {
      const at::Tensor l = loss();
      EXPECT_NEAR(l.item<double>(), expected[step].item<double>(), 1e-9) << "step " << step;
      l.backward();
      optimizer.step(lr);
      optimizer.zero_grad();
    }
  }

  SafetensorsFile golden;
  nn::UNet unet{nn::UNetOptions{1, 2, 2}};
};

TEST_F(UNetParity, LogitsLossAndEveryGradient) {
  EXPECT_LT((unet->forward(value("input")) - value("logits")).abs().max().item<double>(), 1e-10);
  load_exactly_named_initial();  // the forward pass above moved the running statistics
  const at::Tensor l = loss();
  EXPECT_NEAR(l.item<double>(), value("loss").item<double>(), 1e-10);
  l.backward();
  for (const auto& item : unet->named_parameters()) {
    const at::Tensor expected = value("gradient." + item.key());
    const double scale = std::max(1e-6, expected.abs().max().item<double>());
    EXPECT_LT((item.value().grad() - expected).abs().max().item<double>() / scale, 1e-6) << item.key();
  }
}

TEST_F(UNetParity, TenAdamSteps) { expect_losses(value("adam_losses"), Optimizer(*unet, {})); }

TEST_F(UNetParity, TenAdamWSteps) {
  expect_losses(value("adamw_losses"), Optimizer(*unet, {.beta2 = 0.95, .weight_decay = 0.05}));
}

TEST_F(UNetParity, TenSgdSteps) {
  const SafetensorsFile losses = SafetensorsFile::open(kParityFolder / "losses_golden.safetensors");
  expect_losses(to_tensor(losses.at("sgd_losses")),
                Optimizer(*unet, {.kind = OptimizerKind::kSgd, .momentum = 0.9, .weight_decay = 0.01}), 0.05);
}

// `loss` of the recorded inputs has the recorded value and gradient by the first of them.
void expect_loss(const std::string& name,
                 const std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>& loss) {
  const SafetensorsFile golden = SafetensorsFile::open(kParityFolder / "losses_golden.safetensors");
  const auto value = [&](const std::string& key) { return to_tensor(golden.at(name + "." + key)); };
  const bool has_third =
      std::ranges::any_of(golden.tensors(), [&](const TensorRef& t) { return t.name == name + ".input2"; });
  const at::Tensor leaf = value("input0").requires_grad_();
  const at::Tensor result = loss(leaf, value("input1"), has_third ? value("input2") : at::Tensor());
  EXPECT_NEAR(result.item<double>(), value("loss").item<double>(), 1e-10);
  result.backward();
  EXPECT_LT((leaf.grad() - value("gradient")).abs().max().item<double>(), 1e-10);
}

TEST(LossParity, InfoNce) {
  expect_loss("info_nce", [](const auto& p, const auto& k, const auto&) { return nn::info_nce(p, k, 0.07); });
}

TEST(LossParity, MaskedMse) {
  expect_loss("masked_mse", [](const auto& pred, const auto& target, const auto& masked) {
    return nn::masked_mse(pred, target, masked);
  });
}

TEST(LossParity, SoftDiceWithCrossEntropy) {
  expect_loss("segmentation", [](const auto& logits, const auto& target, const auto&) {
    return nn::segmentation_loss(logits, target).total;
  });
}

TEST(LossParity, SoftClDice) {
  expect_loss("soft_cl_dice",
              [](const auto& prob, const auto& target, const auto&) { return nn::soft_cl_dice_loss(prob, target, 5); });
}

TEST(PythonCheckpoint, LoadsIntoTheReferenceUNetByName) {
  const fs::path dir = fs::temp_directory_path() / "cmunet_parity";
  fs::create_directories(dir);
  torch::manual_seed(3);
  ModelInfo info;
  info.kind = "segmentation";
  info.method = "supervised";
  info.base_width = 4;
  info.preprocessing = Json::object();
  info.details = Json::object();
  nn::UNet unet(unet_options(info));
  unet->forward(torch::randn({4, 1, 32, 32}));  // running statistics that are not the initial ones
  unet->eval();
  const at::Tensor input = torch::randn({2, 1, 48, 32});
  const torch::NoGradGuard no_grad;
  save_model(dir / "model.safetensors", *unet, info);
  save_tensors(dir / "expected.safetensors", {{"input", input}, {"logits", unet->forward(input)}}, {});
  const std::string command = "PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 " +
                              (kParityFolder / "load_checkpoint.py").string() + " " +
                              (dir / "model.safetensors").string() + " " + (dir / "expected.safetensors").string();
  const int status = std::system(command.c_str());
  fs::remove_all(dir);
  if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127) GTEST_SKIP() << "no /usr/bin/python3 with torch here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace cmunet::train
