// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/stats/summary.h"

namespace cmunet::stats {
namespace {

TEST(Summary, ClosedForms) {
  const std::vector<double> values{4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(mean(values), 2.5);
  EXPECT_DOUBLE_EQ(standard_deviation(values), std::sqrt(5.0 / 3));
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 2.5);
  EXPECT_THROW(quantile(values, 1.1), Error);
}

TEST(Summary, TooFewValuesAreUndefined) {
  EXPECT_TRUE(std::isnan(mean({})));
  EXPECT_TRUE(std::isnan(standard_deviation(std::vector<double>{1})));
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
  EXPECT_TRUE(std::isnan(bootstrap_mean_interval({}, 1)[0]));
}

TEST(StudentInterval, ClosedForm) {
  // Of two values the quantile is Cauchy's, tan(0.475 π), and the standard error half their distance.
  const auto [low, high] = student_mean_interval(std::vector<double>{1, 3});
  EXPECT_NEAR(low, 2 - std::tan(0.475 * M_PI), 1e-9);
  EXPECT_NEAR(high, 2 + std::tan(0.475 * M_PI), 1e-9);
  EXPECT_TRUE(std::isnan(student_mean_interval(std::vector<double>{1})[0]));
  EXPECT_THROW(student_mean_interval(std::vector<double>{1, 2}, 1), Error);
}

TEST(Bootstrap, AgreesWithTheNormalIntervalOnAManyValuedSample) {
  Rng rng(4);
  std::vector<double> values(400);
  for (double& v : values) v = 3 + 2 * rng.normal();
  const auto [low, high] = bootstrap_mean_interval(values, 9);
  const double half = 1.96 * standard_deviation(values) / 20;
  EXPECT_NEAR(low, mean(values) - half, 0.03);
  EXPECT_NEAR(high, mean(values) + half, 0.03);
}

TEST(Bootstrap, ClosedFormOfFourValues) {
  // Means of resamples are k / 4 with k binomial(4, 1/4): P(0) = 0.316, P(at least 3/4) = 0.051, P(1) = 0.004.
  const std::vector<double> values{0, 1, 0, 0};
  EXPECT_EQ(bootstrap_mean_interval(values, 3), (std::array<double, 2>{0, 0.75}));
  EXPECT_EQ(bootstrap_mean_interval(values, 3, 0.6), (std::array<double, 2>{0, 0.5}));
  EXPECT_THROW(bootstrap_mean_interval(values, 3, 1), Error);
  EXPECT_THROW(bootstrap_mean_interval(values, 3, 0.95, 0), Error);
}

TEST(Bootstrap, FollowsItsSeedAndCollapsesOnAConstant) {
  const std::vector<double> values{1.37, 5.11, 2.93, 8.02, 3.71, 0.16, 9.4};
  EXPECT_EQ(bootstrap_mean_interval(values, 1), bootstrap_mean_interval(values, 1));
  EXPECT_NE(bootstrap_mean_interval(values, 1), bootstrap_mean_interval(values, 2));
  const std::vector<double> constant(7, 2.0);
  EXPECT_EQ(bootstrap_mean_interval(constant, 1), (std::array<double, 2>{2, 2}));
}

}  // namespace
}  // namespace cmunet::stats
