// SPDX-License-Identifier: Apache-2.0
// Sparse convolutions against a slow computation that visits active positions only.
#include "cmunet/ssl/spark.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>
#include <tuple>

#include "cmunet/augment/image_rngs.h"

namespace cmunet::ssl {
namespace {

// What is active of a feature map: (n, y, x) -> channels.
using ActiveSet = std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::vector<double>>;

ActiveSet active_set(const at::Tensor& x, const at::Tensor& active) {
  ActiveSet set;
  for (std::int64_t n = 0; n < x.size(0); ++n) {
    for (std::int64_t i = 0; i < x.size(2); ++i) {
      for (std::int64_t j = 0; j < x.size(3); ++j) {
        if (active[n][0][i][j].item<float>() < 0.5F) continue;
        for (std::int64_t c = 0; c < x.size(1); ++c) set[{n, i, j}].push_back(x[n][c][i][j].item<double>());
      }
    }
  }
  return set;
}

ActiveSet convolved(const ActiveSet& in, const at::Tensor& weight, const at::Tensor& bias) {
  const auto w = weight.to(at::kDouble).contiguous();
  const auto wa = w.accessor<double, 4>();
  ActiveSet out;
  for (const auto& [position, unused] : in) {
    const auto [n, y, x] = position;
    for (std::int64_t o = 0; o < w.size(0); ++o) {
      double sum = bias[o].item<double>();
      for (std::int64_t dy = -1; dy <= 1; ++dy) {
        for (std::int64_t dx = -1; dx <= 1; ++dx) {
          const auto neighbour = in.find({n, y + dy, x + dx});
          if (neighbour == in.end()) continue;
          for (std::int64_t c = 0; c < w.size(1); ++c) {
            sum += wa[o][c][dy + 1][dx + 1] * neighbour->second[static_cast<std::size_t>(c)];
          }
        }
      }
      out[position].push_back(sum);
    }
  }
  return out;
}

// Batch norm with the set's own statistics, γ = 1 and β = 0, then ReLU.
void normalise(ActiveSet& set) {
  const std::size_t channels = set.begin()->second.size();
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = 0, variance = 0;
    for (const auto& [p, v] : set) mean += v[c] / static_cast<double>(set.size());
    for (const auto& [p, v] : set) variance += (v[c] - mean) * (v[c] - mean) / static_cast<double>(set.size());
    for (auto& [p, v] : set) v[c] = std::max(0.0, (v[c] - mean) / std::sqrt(variance + 1e-5));
  }
}

ActiveSet pooled(const ActiveSet& in) {
  ActiveSet out;
  for (const auto& [position, values] : in) {
    const auto [n, y, x] = position;
    auto& target = out[{n, y / 2, x / 2}];
    target.resize(values.size(), 0.0);  // ReLU left nothing below 0
    for (std::size_t c = 0; c < values.size(); ++c) target[c] = std::max(target[c], values[c]);
  }
  return out;
}

void expect_equal(const ActiveSet& expected, const at::Tensor& x, const at::Tensor& active, const char* what) {
  const ActiveSet seen = active_set(x, active);
  ASSERT_EQ(seen.size(), expected.size()) << what;
  for (const auto& [position, values] : expected) {
    for (std::size_t c = 0; c < values.size(); ++c) EXPECT_NEAR(seen.at(position)[c], values[c], 2e-4) << what;
  }
  EXPECT_EQ((x * (1 - active)).abs().max().item<double>(), 0) << what;
}

class SparkTest : public ::testing::Test {
 protected:
  SparkTest() {
    torch::set_num_threads(2);
    torch::manual_seed(8);
    encoder = nn::UNetEncoder(nn::UNetOptions{1, 1, 2});
    images = torch::randn({2, 1, 48, 48});
    active = torch::zeros({2, 1, 48, 48});
    for (const auto& [n, y, x] : {std::tuple{0, 0, 0}, {0, 1, 1}, {0, 1, 2}, {1, 2, 0}, {1, 0, 2}}) {
      active[n][0].slice(0, 16 * y, 16 * y + 16).slice(1, 16 * x, 16 * x + 16).fill_(1);
    }
  }
  nn::UNetEncoder encoder{nullptr};
  at::Tensor images, active;
};

TEST_F(SparkTest, EqualsABruteForceOverActivePositions) {
  const nn::Features features = sparse_features(encoder, images, active);
  ActiveSet set = active_set(images, active);
  at::Tensor visible = active;
  std::vector<torch::nn::Conv2dImpl*> convolutions;
  for (const auto& module : encoder->modules(false)) {
    if (auto* conv = module->as<torch::nn::Conv2d>()) convolutions.push_back(conv);
  }
  ASSERT_EQ(convolutions.size(), 10U);
  for (std::size_t level = 0; level < 5; ++level) {
    for (std::size_t i = 2 * level; i < 2 * level + 2; ++i) {
      set = convolved(set, convolutions[i]->weight.detach(), convolutions[i]->bias.detach());
      normalise(set);
    }
    const at::Tensor& seen = level < 4 ? features.skips[level] : features.latent;
    expect_equal(set, seen.detach(), visible, level < 4 ? "skip" : "latent");
    set = pooled(set);
    visible = torch::max_pool2d(visible, 2);
  }
}

TEST_F(SparkTest, HiddenPixelsHaveNoInfluence) {
  const nn::Features a = sparse_features(encoder, images, active);
  const nn::Features b = sparse_features(encoder, images + 100 * (1 - active), active);
  EXPECT_TRUE(a.latent.equal(b.latent));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(a.skips[i].equal(b.skips[i]));
}

TEST_F(SparkTest, WithEverythingVisibleItIsTheEncoder) {
  nn::UNetEncoder dense(nn::UNetOptions{1, 1, 2});
  {
    const torch::NoGradGuard no_grad;
    const auto from = encoder->parameters();
    auto to = dense->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
  }
  const nn::Features sparse = sparse_features(encoder, images, torch::ones_like(images));
  const nn::Features expected = dense->forward(images);
  EXPECT_TRUE(sparse.latent.allclose(expected.latent, 1e-3, 1e-4));
  const auto running = encoder->named_buffers(), reference = dense->named_buffers();
  for (const auto& item : reference) {
    EXPECT_TRUE(running[item.key()].to(at::kDouble).allclose(item.value().to(at::kDouble), 1e-3, 1e-5)) << item.key();
  }
}

TEST_F(SparkTest, CountsHiddenCellsAlone) {
  SparkOptions options;
  options.crop.size = 64;
  torch::manual_seed(3);
  Spark method(nn::UNetOptions{1, 2, 1}, options);
  method.module().eval();
  at::Tensor crop = torch::randn({2, 1, 64, 64}), hidden = torch::zeros_like(crop);
  hidden.narrow(2, 0, 16).fill_(1);
  const double loss = method.loss({crop, hidden}).total.item<double>();
  const Pictures pictures = method.pictures({crop, hidden});
  const at::Tensor error = (pictures.reconstruction - pictures.target).square();
  EXPECT_NEAR(loss, error.narrow(2, 0, 16).mean().item<double>(), 1e-4 * loss);
}

TEST_F(SparkTest, KeepsTheRoundedNumberOfCellsAndTrainsItsTokens) {
  SparkOptions options;
  options.crop.size = 256;
  Spark method(nn::UNetOptions{1, 2, 1}, options);
  auto rngs = augment::image_rngs(Rng(1), 0, 2);
  const auto inputs = method.make_inputs(torch::randn({2, 1, 64, 64}), rngs);
  const at::Tensor hidden = torch::max_pool2d(inputs[1], 16).sum({1, 2, 3});
  EXPECT_TRUE(hidden.eq(256 - 102).all().item<bool>());
  method.loss(inputs).total.backward();
  auto& module = dynamic_cast<SparkModuleImpl&>(method.module());
  for (const at::Tensor& token : module.tokens) {
    EXPECT_LE(token.abs().max().item<double>(), 0.04 + 1e-7);
    ASSERT_TRUE(token.grad().defined());
    EXPECT_GT(token.grad().abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace cmunet::ssl
