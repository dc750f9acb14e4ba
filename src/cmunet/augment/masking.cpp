// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/masking.h"

#include <torch/torch.h>

#include <cmath>

#include "cmunet/base/error.h"

namespace cmunet::augment {

std::int64_t masked_patch_count(int height, int width, int patch, double ratio) {
  CMUNET_CHECK(patch > 0 && height > 0 && width > 0 && height % patch == 0 && width % patch == 0,
               ErrorCode::kInvalidArgument, "[mask] patch ", patch, " does not divide ", height, "x", width);
  CMUNET_CHECK(ratio >= 0 && ratio < 1, ErrorCode::kInvalidArgument, "[mask] ratio is ", ratio, "; must be in [0, 1)");
  const auto pixels = static_cast<std::int64_t>(std::floor(ratio * height * width));
  return pixels / (std::int64_t{patch} * patch);
}

at::Tensor random_patch_mask(std::int64_t n, int height, int width, int patch, double ratio, Rng& rng,
                             at::Device device) {
  CMUNET_CHECK(n >= 0, ErrorCode::kInvalidArgument, "[mask] for ", n, " samples; must not be negative");
  const std::int64_t hidden = masked_patch_count(height, width, patch, ratio);
  const std::int64_t rows = height / patch, columns = width / patch;
  at::Tensor grid = torch::zeros({n, rows * columns});
  for (std::int64_t i = 0; i < n; ++i) {
    const std::vector<std::int64_t> order = rng.permutation(rows * columns);
    float* row = grid.data_ptr<float>() + i * rows * columns;
    for (std::int64_t k = 0; k < hidden; ++k) row[order[static_cast<std::size_t>(k)]] = 1.0F;
  }
  // The few patches travel to the device, the many pixels are made there: [n, L] -> [n, 1, H/p, p, W/p, p] -> pixels
  return grid.to(device)
      .view({n, 1, rows, 1, columns, 1})
      .expand({n, 1, rows, patch, columns, patch})
      .reshape({n, 1, height, width});
}

at::Tensor apply_mask(const at::Tensor& images, const at::Tensor& masked) {
  return images.masked_fill(masked > 0.5, 0);
}

}  // namespace cmunet::augment
