// SPDX-License-Identifier: Apache-2.0
// A batch that is spread over threads gives what the whole batch gives in one: values, gradients, running statistics.
#include "cmunet/nn/communicator.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/nn/batch_norm.h"
#include "cmunet/nn/losses.h"
#include "cmunet/nn/native_blocks.h"
#include "cmunet/nn/thread_group.h"
#include "cmunet/nn/unet.h"

namespace cmunet::nn {
namespace {

constexpr int kProcesses = 3;
constexpr std::int64_t kImages = 7;  // shares of 2, 2 and 3

at::Tensor my_rows(const at::Tensor& all) {
  const Share share = share_of(all.size(0));
  return all.narrow(0, share.first, share.count);
}

// Runs `member` on threads that form a group.
void in_group(int size, const std::function<void()>& member) {
  ThreadGroup group(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      const CommunicatorScope scope(group.member(rank));
      member();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Compares loss(x) of a whole batch, its value and gradient, with that of a group in which each has some rows of x.
// A gradient with respect to x itself is not averaged like a parameter's, so each has its part of it times the number
// of processes.
void expect_same_as_whole(const std::vector<at::Tensor>& batch,
                          const std::function<at::Tensor(const std::vector<at::Tensor>&)>& loss) {
  const at::Tensor x = batch[0].detach().clone().requires_grad_();
  std::vector<at::Tensor> inputs = batch;
  inputs[0] = x;
  const at::Tensor whole = loss(inputs);
  whole.backward();
  in_group(kProcesses, [&] {
    std::vector<at::Tensor> mine;
    for (const at::Tensor& tensor : batch) mine.push_back(my_rows(tensor.detach()).clone());
    mine[0].requires_grad_();
    const at::Tensor value = loss(mine);
    value.backward();
    EXPECT_NEAR(value.item<double>(), whole.item<double>(), 1e-12);
    EXPECT_TRUE(mine[0].grad().div(kProcesses).allclose(my_rows(x.grad()), 1e-9, 1e-12));
  });
}

class Together : public ::testing::Test {
 protected:
  Together() {
    torch::set_num_threads(1);
    torch::manual_seed(1);
  }
  static at::Tensor normal(at::IntArrayRef shape) { return torch::randn(shape, torch::kDouble); }
};

TEST(Share, CoversTheBatchOnceWithSizesThatDifferByOne) {
  std::vector<Share> shares(4);
  in_group(4, [&] { shares[static_cast<std::size_t>(communicator().rank())] = share_of(10); });
  std::int64_t next = 0;
  for (const Share& share : shares) {
    EXPECT_EQ(share.first, next);
    EXPECT_TRUE(share.count == 2 || share.count == 3);
    next += share.count;
  }
  EXPECT_EQ(next, 10);
  in_group(4, [] { EXPECT_THROW(share_of(3), Error); });
  EXPECT_EQ(share_of(3).count, 3);  // alone
}

TEST_F(Together, RowsAreGatheredInOrderWithTheirGradient) {
  const at::Tensor all = normal({kImages, 2});
  in_group(kProcesses, [&] {
    const at::Tensor mine = my_rows(all).clone().requires_grad_();
    const Gathered gathered = gather_rows(mine);
    EXPECT_TRUE(gathered.rows.equal(all));
    EXPECT_EQ(gathered.first, share_of(kImages).first);
    (gathered.rows * all * (communicator().rank() + 1)).sum().backward();  // 1 + 2 + 3 from the three
    EXPECT_TRUE(mine.grad().allclose(my_rows(all) * 6));
  });
}

TEST_F(Together, LossesAreThoseOfTheWholeBatch) {
  const at::Tensor target = torch::randint(0, 2, {kImages, 4, 4}), masked = torch::rand({kImages, 1, 4, 4}).gt(0.4);
  expect_same_as_whole({normal({kImages, 2, 4, 4}), target},
                       [](const auto& in) { return segmentation_loss(in[0], in[1], 0.7).total; });
  expect_same_as_whole({normal({kImages, 1, 4, 4}), normal({kImages, 1, 4, 4}), masked.to(torch::kDouble)},
                       [](const auto& in) { return masked_mse(in[0], in[1], in[2]); });
  expect_same_as_whole({normal({kImages, 3}), normal({kImages, 3})}, [](const auto& in) { return mse(in[0], in[1]); });
  expect_same_as_whole({normal({kImages, 5}), normal({kImages, 5})},
                       [](const auto& in) { return info_nce(in[0], in[1], 0.2); });
  expect_same_as_whole({normal({kImages, 5}), normal({kImages, 5})},
                       [](const auto& in) { return info_nce(in[1], in[0], 0.2); });  // the gradient of the keys
  const at::Tensor prob = torch::rand({kImages, 8, 8}, torch::kDouble), lines = torch::rand({kImages, 8, 8}).gt(0.6);
  expect_same_as_whole({prob, lines}, [](const auto& in) { return soft_cl_dice_loss(in[0], in[1], 2); });
  expect_same_as_whole({prob, lines}, [](const auto& in) { return skeleton_recall_loss(in[0], in[1]); });
}

TEST_F(Together, BatchNormSeesTheWholeBatch) {
  const at::Tensor images = normal({kImages, 3, 2, 2}) * 2 + 5, weights = normal({kImages, 3, 2, 2});
  const auto make = [] {
    torch::nn::BatchNorm2d norm(3);
    norm->to(torch::kDouble);
    const torch::NoGradGuard no_grad;
    norm->weight.copy_(torch::tensor({0.5, 1.0, 2.0}));
    norm->bias.copy_(torch::tensor({0.1, 0.2, -0.3}));
    return norm;
  };
  torch::nn::BatchNorm2d whole = make();
  (whole->forward(images) * weights).sum().backward();
  in_group(kProcesses, [&] {
    torch::nn::BatchNorm2d norm = make();
    (batch_norm(*norm, my_rows(images)) * my_rows(weights)).sum().backward();
    EXPECT_TRUE(norm->running_mean.allclose(whole->running_mean, 1e-10, 1e-12));
    EXPECT_TRUE(norm->running_var.allclose(whole->running_var, 1e-10, 1e-12));
    for (const auto& [gradient, expected] :
         {std::pair{norm->weight.grad(), whole->weight.grad()}, std::pair{norm->bias.grad(), whole->bias.grad()}}) {
      const at::Tensor total = gradient.clone();
      communicator().sum(total);
      EXPECT_TRUE(total.allclose(expected, 1e-9, 1e-12));
    }
  });
  expect_same_as_whole({images, weights}, [&](const auto& in) {
    return sum_over_processes((batch_norm(*make(), in[0]) * in[1]).square().sum());
  });
}

TEST_F(Together, NativeBlocksSeeTheWholeBatch) {
  if (!native_pays(1, 16)) GTEST_SKIP() << "no native kernels in this build";
  const at::Tensor images = normal({kImages, 1, 32, 32}), weights = normal({kImages, 2, 32, 32});
  UNet whole(UNetOptions{.base_width = 16, .kernels = Kernels::kTorch});
  whole->to(torch::kDouble);
  (whole->forward(images) * weights).sum().backward();
  const auto distance = [](const at::Tensor& value, const at::Tensor& expected) {
    return (value - expected).norm().item<double>() / std::max(1e-3, expected.norm().item<double>());
  };
  in_group(kProcesses, [&] {
    UNet own(UNetOptions{.base_width = 16, .kernels = Kernels::kNative});
    {
      const torch::NoGradGuard no_grad;
      for (const auto& item : own->named_parameters()) item.value().copy_(whole->named_parameters()[item.key()]);
    }
    (own->forward(my_rows(images).to(torch::kFloat)) * my_rows(weights)).sum().backward();
    for (const auto& item : own->named_parameters()) {
      const at::Tensor total = item.value().grad().to(torch::kDouble);
      communicator().sum(total);
      EXPECT_LT(distance(total, whole->named_parameters()[item.key()].grad()), 1e-3) << item.key();
    }
    for (const auto& item : own->named_buffers()) {
      EXPECT_LT(distance(item.value(), whole->named_buffers()[item.key()]), 1e-4) << item.key();
    }
  });
}

TEST_F(Together, AUNetGivesEveryImageTheSameLogits) {
  UNet unet(UNetOptions{1, 2, 2});
  unet->to(torch::kDouble);
  const at::Tensor images = normal({kImages, 1, 16, 16});
  const torch::NoGradGuard no_grad;
  const at::Tensor whole = unet->forward(images);
  std::vector<at::Tensor> logits(kProcesses), apart(kProcesses);
  in_group(kProcesses, [&] {
    torch::NoGradGuard inner;
    const auto rank = static_cast<std::size_t>(communicator().rank());
    UNet own(UNetOptions{1, 2, 2});
    own->to(torch::kDouble);
    const auto from = unet->parameters();
    auto to = own->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
    logits[rank] = own->forward(my_rows(images));
    synchronise_batch_norms(*own, false);
    apart[rank] = own->forward(my_rows(images));
  });
  EXPECT_TRUE(torch::cat(logits).allclose(whole, 1e-9, 1e-10));
  EXPECT_TRUE(apart[2].allclose(unet->forward(images.narrow(0, 4, 3)), 1e-9, 1e-10));
  EXPECT_FALSE(apart[2].allclose(logits[2], 1e-2, 1e-2));
}

}  // namespace
}  // namespace cmunet::nn
