// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace cmunet::kernels {
namespace {

constexpr AdamwFactors kFactors{0.999F, 0.1F, 0.95F, 0.05F, 1.5F, 1e-8F, 0.01F};

struct Numbers {
  explicit Numbers(std::size_t count) : weight(count), gradient(count), m(count), v(count) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < count; ++i) {
      weight[i] = normal(random);
      gradient[i] = normal(random);
      m[i] = normal(random);
      v[i] = std::abs(normal(random));
    }
  }
  AdamwSlice from(std::size_t first) {
    return {weight.data() + first, gradient.data() + first, m.data() + first, v.data() + first};
  }
  std::vector<float> weight, gradient, m, v;
};

TEST(AdamwStep, EqualsItsFormulaForEveryCount) {
  for (const std::size_t count : {0, 1, 7, 16, 33, 64, 70}) {
    Numbers actual(count);
    const Numbers before = actual;
    adamw_step(kFactors, actual.from(0), count);
    for (std::size_t i = 0; i < count; ++i) {
      const double g = before.gradient[i];
      const double m = 0.9 * double{before.m[i]} + 0.1 * g, v = 0.95 * double{before.v[i]} + 0.05 * g * g;
      EXPECT_NEAR(actual.m[i], m, 1e-6);
      EXPECT_NEAR(actual.v[i], v, 1e-6 * (1 + v));
      EXPECT_NEAR(actual.weight[i], 0.999 * double{before.weight[i]} - 0.01 * m / (1.5 * std::sqrt(v) + 1e-8), 1e-6);
    }
  }
}

TEST(AdamwStep, DoesNotDependOnWhereItIsCut) {
  constexpr std::size_t kCount = 101;
  Numbers whole(kCount), cut(kCount);
  adamw_step(kFactors, whole.from(0), kCount);
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 3}, {3, 50}, {53, 48}}) {
    adamw_step(kFactors, cut.from(first), count);
  }
  EXPECT_EQ(cut.weight, whole.weight);
  EXPECT_EQ(cut.m, whole.m);
  EXPECT_EQ(cut.v, whole.v);
}

}  // namespace
}  // namespace cmunet::kernels
