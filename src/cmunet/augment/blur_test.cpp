// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/blur.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdlib>

#include "cmunet/base/error.h"

namespace cmunet::augment {
namespace {

at::Tensor some_images() {
  torch::manual_seed(3);
  return torch::randn({5, 1, 20, 31});
}
const std::vector<Blur> kBlurs{{0.7, 3}, {0, 5}, {2.0, 5}, {1.0, 1}, {1.3, 4}};

int reflected(int i, int length) {
  const int last = length - 1;
  return last - std::abs(last - std::abs(i));
}

// The definition in two dimensions and double precision.
double blurred_pixel(const at::Tensor& image, const Blur& blur, int y, int x) {
  if (blur.sigma_px == 0) return image[y][x].item<double>();
  double sum = 0, weights = 0;
  for (int v = -blur.radius_px; v <= blur.radius_px; ++v) {
    for (int u = -blur.radius_px; u <= blur.radius_px; ++u) {
      const double weight = std::exp(-0.5 * (u * u + v * v) / (blur.sigma_px * blur.sigma_px));
      const auto row = reflected(y + v, static_cast<int>(image.size(0)));
      const auto column = reflected(x + u, static_cast<int>(image.size(1)));
      sum += weight * image[row][column].item<double>();
      weights += weight;
    }
  }
  return sum / weights;
}

TEST(Blurred, IsTheGaussianOfEachImage) {
  const at::Tensor images = some_images(), result = blurred(images, kBlurs);
  ASSERT_EQ(result.sizes(), images.sizes());
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    for (const auto& [y, x] : {std::pair{0, 0}, {7, 30}, {19, 2}, {10, 15}}) {
      EXPECT_NEAR(result[i][0][y][x].item<double>(),
                  blurred_pixel(images[i][0], kBlurs[static_cast<std::size_t>(i)], y, x), 1e-6)
          << "image " << i << " at " << y << ", " << x;
    }
  }
}

// A batch that processes share must not depend on how they share it.
TEST(Blurred, DoesNotDependOnTheBatchThatAnImageIsIn) {
  const at::Tensor images = some_images(), together = blurred(images, kBlurs);
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    const at::Tensor alone = blurred(images.narrow(0, i, 1), {kBlurs[static_cast<std::size_t>(i)]});
    EXPECT_TRUE(alone.equal(together.narrow(0, i, 1))) << i;
  }
}

TEST(Blurred, RefusesImagesSmallerThanItsRadius) {
  EXPECT_THROW(blurred(torch::zeros({2, 1, 5, 40}), {{1, 5}, {1, 1}}), Error);
  EXPECT_NO_THROW(blurred(torch::zeros({2, 1, 6, 40}), {{1, 5}, {1, 1}}));
}

}  // namespace
}  // namespace cmunet::augment
