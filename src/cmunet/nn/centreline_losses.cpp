// SPDX-License-Identifier: Apache-2.0
#include "cmunet/nn/centreline_losses.h"

#include <torch/torch.h>

#include "cmunet/base/error.h"
#include "cmunet/nn/communicator.h"

namespace cmunet::nn {
namespace {

constexpr double kSmoothing = 1;

// Maximum and minimum over neighbourhoods of [N, H, W] as pooling; padding takes no part in either.
at::Tensor max_over(const at::Tensor& x, int height, int width) {
  return torch::max_pool2d(x.unsqueeze(1), {height, width}, 1, {height / 2, width / 2}).squeeze(1);
}
at::Tensor min_over(const at::Tensor& x, int height, int width) { return -max_over(-x, height, width); }

at::Tensor soft_erode(const at::Tensor& x) { return torch::minimum(min_over(x, 3, 1), min_over(x, 1, 3)); }

// Over the whole batch, wherever its images are.
at::Tensor smoothed_share(const at::Tensor& skeleton, const at::Tensor& region) {
  const at::Tensor sums = sum_over_processes(torch::stack({(skeleton * region).sum(), skeleton.sum()})) + kSmoothing;
  return sums[0] / sums[1];
}

void check_shapes(const char* what, const at::Tensor& prob, const at::Tensor& other) {
  CMUNET_CHECK(prob.dim() == 3 && prob.sizes() == other.sizes(), ErrorCode::kInvalidArgument, "[", what, "] prob is ",
               prob.sizes(), " and the target is ", other.sizes(), "; both must be [N, H, W]");
}

}  // namespace

at::Tensor soft_skeleton(const at::Tensor& prob, int iterations) {
  CMUNET_CHECK(prob.dim() == 3 && iterations >= 0, ErrorCode::kInvalidArgument, "[soft_skeleton] prob is ",
               prob.sizes(), " and iterations ", iterations, "; expected [N, H, W] and at least 0");
  at::Tensor image = prob, skeleton = torch::zeros_like(prob);
  for (int i = 0; i <= iterations; ++i) {
    const at::Tensor eroded = soft_erode(image);
    const at::Tensor removed = torch::relu(image - max_over(eroded, 3, 3));
    skeleton = skeleton + torch::relu(removed - skeleton * removed);
    image = eroded;
  }
  return skeleton;
}

at::Tensor soft_cl_dice_loss(const at::Tensor& prob, const at::Tensor& target, int iterations) {
  check_shapes("soft_cl_dice_loss", prob, target);
  const at::Tensor t = target.to(prob.scalar_type());
  const at::Tensor precision = smoothed_share(soft_skeleton(prob, iterations), t);
  const at::Tensor sensitivity = smoothed_share(soft_skeleton(t, iterations), prob);
  return 1 - 2 * precision * sensitivity / (precision + sensitivity);
}

at::Tensor skeleton_recall_loss(const at::Tensor& prob, const at::Tensor& tube) {
  check_shapes("skeleton_recall_loss", prob, tube);
  return 1 - smoothed_share(tube.to(prob.scalar_type()), prob);
}

}  // namespace cmunet::nn
