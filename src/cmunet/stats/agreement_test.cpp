// SPDX-License-Identifier: Apache-2.0
#include "cmunet/stats/agreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"

namespace cmunet::stats {
namespace {

using Values = std::vector<double>;

TEST(Pearson, ClosedForms) {
  EXPECT_DOUBLE_EQ(pearson(Values{1, 2, 3}, Values{2, 4, 6}), 1);
  EXPECT_DOUBLE_EQ(pearson(Values{1, 2, 3}, Values{3, 2, 1}), -1);
  EXPECT_NEAR(pearson(Values{1, 2, 3}, Values{1, 3, 2}), 0.5, 1e-15);
  EXPECT_NEAR(pearson(Values{1, 2, 3, 4}, Values{1, -1, -1, 1}), 0, 1e-15);
}

TEST(Pearson, IsSymmetricAndIgnoresShiftAndScale) {
  Rng rng(2);
  Values x(50);
  Values y(50);
  Values moved(50);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = rng.normal();
    y[i] = 0.5 * x[i] + rng.normal();
    moved[i] = 1e100 * (3 - x[i]);  // the product of two sums of squares would overflow
    y[i] *= 1e100;
  }
  EXPECT_NEAR(pearson(x, y), pearson(y, x), 1e-14);
  EXPECT_NEAR(pearson(moved, y), -pearson(x, y), 1e-12);
}

TEST(Regression, RecoversALine) {
  const Line line = regression(Values{0, 1, 5}, Values{2, -1, -13});
  EXPECT_NEAR(line.slope, -3, 1e-14);
  EXPECT_NEAR(line.intercept, 2, 1e-14);
}

TEST(Regression, NoOtherLineIsNearer) {
  Rng rng(7);
  Values x(30);
  Values y(30);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = rng.uniform(0, 5);
    y[i] = x[i] + rng.normal();
  }
  const Line best = regression(x, y);
  const auto squares = [&](double slope, double intercept) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(y[i] - slope * x[i] - intercept, 2);
    return sum;
  };
  for (const double step : {-0.01, 0.01}) {
    EXPECT_GT(squares(best.slope + step, best.intercept), squares(best.slope, best.intercept));
    EXPECT_GT(squares(best.slope, best.intercept + step), squares(best.slope, best.intercept));
  }
}

TEST(BlandAltman, ClosedForm) {
  const Agreement agreement = bland_altman(Values{2, 3, 7}, Values{1, 3, 5});  // differences 1, 0, 2
  EXPECT_DOUBLE_EQ(agreement.bias, 1);
  EXPECT_DOUBLE_EQ(agreement.lower_limit, 1 - 1.96);
  EXPECT_DOUBLE_EQ(agreement.upper_limit, 1 + 1.96);
}

TEST(Agreement, UndefinedAndErrors) {
  EXPECT_TRUE(std::isnan(pearson(Values{1}, Values{1})));
  EXPECT_TRUE(std::isnan(pearson(Values{1, 1}, Values{1, 2})));
  EXPECT_TRUE(std::isnan(regression(Values{1, 1}, Values{1, 2}).slope));
  EXPECT_TRUE(std::isnan(bland_altman(Values{1}, Values{0}).lower_limit));
  EXPECT_EQ(bland_altman(Values{1}, Values{0}).bias, 1);
  EXPECT_TRUE(std::isnan(bland_altman({}, {}).bias));
  EXPECT_THROW(pearson(Values{1, 2}, Values{1}), Error);
  EXPECT_THROW(regression(Values{1, 2}, Values{1}), Error);
  EXPECT_THROW(bland_altman(Values{1, 2}, Values{1}), Error);
}

}  // namespace
}  // namespace cmunet::stats
