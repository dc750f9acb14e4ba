// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/masking.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cmunet/augment/batch.h"
#include "cmunet/augment/image_rngs.h"
#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

// Pixel masks that hide the first `hidden` patches of each order.
at::Tensor first_hidden(const std::vector<std::vector<std::int64_t>>& orders, std::int64_t hidden, int height,
                        int width, int patch, at::Device device) {
  const auto n = static_cast<std::int64_t>(orders.size());
  const std::int64_t rows = height / patch, columns = width / patch;
  at::Tensor grid = torch::zeros({n, rows * columns});
  for (std::int64_t i = 0; i < n; ++i) {
    float* row = grid.data_ptr<float>() + i * rows * columns;
    const std::vector<std::int64_t>& order = orders[static_cast<std::size_t>(i)];
    for (std::int64_t k = 0; k < hidden; ++k) row[order[static_cast<std::size_t>(k)]] = 1.0F;
  }
  // The few patches travel to the device, the many pixels are made there: [n, L] -> [n, 1, H/p, p, W/p, p] -> pixels
  return send(grid, device)
      .view({n, 1, rows, 1, columns, 1})
      .expand({n, 1, rows, patch, columns, patch})
      .reshape({n, 1, height, width});
}

}  // namespace

std::int64_t masked_patch_count(int height, int width, int patch, double ratio) {
  CMUNET_CHECK(patch > 0 && height > 0 && width > 0 && height % patch == 0 && width % patch == 0,
               ErrorCode::kInvalidArgument, "[mask] patch ", patch, " does not divide ", height, "x", width);
  CMUNET_CHECK(ratio >= 0 && ratio < 1, ErrorCode::kInvalidArgument, "[mask] ratio is ", ratio, "; must be in [0, 1)");
  const auto pixels = static_cast<std::int64_t>(std::floor(ratio * height * width));
  return pixels / (std::int64_t{patch} * patch);
}

at::Tensor random_patch_mask(int height, int width, int patch, double ratio, std::span<Rng> rngs, at::Device device) {
  const std::int64_t hidden = masked_patch_count(height, width, patch, ratio);
  const std::int64_t patches = std::int64_t{height / patch} * (width / patch);
  std::vector<std::vector<std::int64_t>> orders;
  for (Rng& rng : rngs) orders.push_back(rng.permutation(patches));
  return first_hidden(orders, hidden, height, width, patch, device);
}

at::Tensor weighted_patch_mask(const at::Tensor& weights, int height, int width, int patch, double ratio,
                               std::span<Rng> rngs) {
  const std::int64_t hidden = masked_patch_count(height, width, patch, ratio);
  const std::int64_t patches = std::int64_t{height / patch} * (width / patch);
  CMUNET_CHECK(weights.dim() == 2 && weights.size(1) == patches, ErrorCode::kInvalidArgument, "[mask] weights are ",
               weights.sizes(), "; expected [n, ", patches, "]");
  check_one_per_image(rngs, weights);
  const at::Tensor on_host = weights.to(at::kCPU, at::kDouble).contiguous();
  std::vector<std::vector<std::int64_t>> orders;
  const double* row = on_host.data_ptr<double>();
  for (Rng& rng : rngs) {
    // Exponential waiting times with these rates end in the order of weighted drawing without replacement.
    std::vector<std::pair<double, std::int64_t>> waits;
    for (std::int64_t k = 0; k < patches; ++k) {
      const double wait = -std::log1p(-rng.uniform());
      waits.emplace_back(row[k] > 0 ? wait / row[k] : std::numeric_limits<double>::infinity(), k);
    }
    std::ranges::stable_sort(waits, {}, &std::pair<double, std::int64_t>::first);
    std::vector<std::int64_t>& order = orders.emplace_back();
    for (const auto& [wait, k] : waits) order.push_back(k);
    row += patches;
  }
  return first_hidden(orders, hidden, height, width, patch, weights.device());
}

at::Tensor apply_mask(const at::Tensor& images, const at::Tensor& masked) {
  return images.masked_fill(masked > 0.5, 0);
}

}  // namespace cmunet::augment
