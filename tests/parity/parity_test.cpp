// SPDX-License-Identifier: Apache-2.0
// Against PyTorch's own values (make_unet_golden.py), in double precision; and a checkpoint read back in Python.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>

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

  void expect_losses(const char* name, AdamW optimizer) {
    const at::Tensor expected = value(name);
    for (std::int64_t step = 0; step < expected.size(0); ++step) {
      const at::Tensor l = loss();
      EXPECT_NEAR(l.item<double>(), expected[step].item<double>(), 1e-9) << name << " step " << step;
      l.backward();
      optimizer.step(1e-3);
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

TEST_F(UNetParity, TenAdamSteps) { expect_losses("adam_losses", AdamW(*unet, {})); }

TEST_F(UNetParity, TenAdamWSteps) {
  expect_losses("adamw_losses", AdamW(*unet, {.beta2 = 0.95, .weight_decay = 0.05}));
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
