// SPDX-License-Identifier: Apache-2.0
#include "cmunet/stats/paired_tests.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/json.h"
#include "cmunet/base/random.h"
#include "cmunet/stats/agreement.h"
#include "cmunet/stats/summary.h"

namespace cmunet::stats {
namespace {

using Values = std::vector<double>;

// Golden values of SciPy: tests/golden/make_statistics.py.
TEST(Statistics, EqualSciPy) {
  const Json cases = load_json(std::filesystem::path(CMUNET_SOURCE_DIR) / "tests/golden/statistics.json");
  ASSERT_GE(cases.size(), 10U);
  for (const Json& c : cases) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    const auto x = c.at("x").get<Values>(), y = c.at("y").get<Values>();
    // 1e-9 of the value: p-values may be tiny.
    const auto expect = [&](double value, const char* key) {
      const double expected = c.at(key).get<double>();
      EXPECT_NEAR(value, expected, 1e-9 * std::abs(expected)) << key;
    };
    expect(mean(x), "mean");
    expect(standard_deviation(x), "sd");
    expect(quantile(x, 0.1), "quantile_10");
    expect(quantile(x, 0.5), "median");
    expect(student_mean_interval(x)[0], "student_low");
    expect(student_mean_interval(x)[1], "student_high");
    expect(pearson(x, y), "pearson");
    expect(pearson_p_value(pearson(x, y), std::ssize(x)), "pearson_p");
    expect(regression(x, y).slope, "slope");
    expect(regression(x, y).intercept, "intercept");
    expect(bland_altman(x, y).bias, "bias");
    expect(bland_altman(x, y).lower_limit, "lower_limit");
    expect(bland_altman(x, y).upper_limit, "upper_limit");
    expect(paired_t_test(x, y).statistic, "t");
    expect(paired_t_test(x, y).p, "t_p");
    expect(wilcoxon_signed_rank_test(x, y).statistic, "signed_rank");
    expect(wilcoxon_signed_rank_test(x, y).p, "signed_rank_p");
  }
}

TEST(PearsonPValue, ClosedForms) {
  EXPECT_DOUBLE_EQ(pearson_p_value(0, 10), 1);
  EXPECT_DOUBLE_EQ(pearson_p_value(1, 10), 0);
  EXPECT_NEAR(pearson_p_value(0.3, 4), 1 - 0.3, 1e-12);  // of four pairs r is uniform in [-1, 1]
  EXPECT_DOUBLE_EQ(pearson_p_value(-0.4, 9), pearson_p_value(0.4, 9));
  EXPECT_TRUE(std::isnan(pearson_p_value(0.5, 2)));
  EXPECT_TRUE(std::isnan(pearson_p_value(std::nan(""), 9)));
  EXPECT_THROW(pearson_p_value(1.1, 9), Error);
}

TEST(PairedT, ClosedForm) {
  // Differences 0 and 2: t = 1 / (√2 / √2) = 1 with one degree of freedom, a Cauchy variable, beyond ±1 half the time.
  const TestResult result = paired_t_test(Values{1, 4}, Values{1, 2});
  EXPECT_DOUBLE_EQ(result.statistic, 1);
  EXPECT_NEAR(result.p, 0.5, 1e-12);
  EXPECT_EQ(result.n, 2);
}

TEST(PairedT, IsUndefinedWithoutSpread) {
  EXPECT_TRUE(std::isnan(paired_t_test(Values{1}, Values{2}).p));
  EXPECT_TRUE(std::isnan(paired_t_test(Values{1, 2, 3}, Values{2, 3, 4}).p));
  EXPECT_THROW(paired_t_test(Values{1}, Values{}), Error);
}

// All 2^n signs, one by one.
double brute_signed_rank_p(const Values& differences) {
  const std::size_t n = differences.size();
  Values rank(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (const double other : differences) rank[i] += std::abs(other) <= std::abs(differences[i]) ? 1 : 0;
  }
  double all = 0, observed = 0;
  for (std::size_t i = 0; i < n; ++i) {
    all += rank[i];
    observed += differences[i] > 0 ? rank[i] : 0;
  }
  const double smaller = std::min(observed, all - observed);
  double as_small = 0;
  for (unsigned signs = 0; signs < (1U << n); ++signs) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += ((signs >> i) & 1U) != 0 ? rank[i] : 0;
    as_small += sum <= smaller ? 1 : 0;
  }
  return std::min(1.0, 2 * as_small / static_cast<double>(1U << n));
}

TEST(SignedRank, EqualsCountingAllSigns) {
  Rng rng(5);
  for (std::size_t n = 1; n <= 12; ++n) {
    Values differences(n);
    for (double& d : differences) d = rng.normal() + 0.5;
    EXPECT_NEAR(wilcoxon_signed_rank_test(differences, Values(n)).p, brute_signed_rank_p(differences), 1e-12) << n;
  }
}

TEST(SignedRank, LeavesOutPairsWithoutADifference) {
  const TestResult result = wilcoxon_signed_rank_test(Values{1, 2, 3, 7}, Values{1, 1, 3, 5});
  EXPECT_EQ(result.n, 2);
  EXPECT_EQ(result.statistic, 0);
  EXPECT_TRUE(std::isnan(wilcoxon_signed_rank_test(Values{1, 2}, Values{1, 2}).p));
  EXPECT_EQ(wilcoxon_signed_rank_test(Values{1, 2}, Values{1, 2}).n, 0);
  EXPECT_THROW(wilcoxon_signed_rank_test(Values{1, 2}, Values{1}), Error);
}

TEST(SignedRank, BalancedDifferencesAreNoEvidence) {
  EXPECT_DOUBLE_EQ(wilcoxon_signed_rank_test(Values{1, -1, 2, -2}, Values(4)).p, 1);  // tied: approximated
  EXPECT_DOUBLE_EQ(wilcoxon_signed_rank_test(Values{1, -2, -3, 4}, Values(4)).p, 1);  // exact
}

TEST(SignedRank, TheApproximationMeetsTheExactTest) {
  Rng rng(6);
  Values shorter(50), longer(51);
  for (std::size_t i = 0; i < 50; ++i) shorter[i] = longer[i] = rng.normal() + 0.3;
  longer[50] = 1e-6;  // hardly counts
  const double exact = wilcoxon_signed_rank_test(shorter, Values(50)).p;
  EXPECT_NEAR(wilcoxon_signed_rank_test(longer, Values(51)).p, exact, 0.1 * exact);
}

TEST(Holm, ClosedForm) {
  const Values adjusted = holm_adjust(Values{0.01, 0.04, 0.03, 0.005});
  const Values expected{0.03, 0.06, 0.06, 0.02};  // 3·0.01, then never below a smaller one's, 2·0.03, 4·0.005
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-15) << i;
  EXPECT_EQ(holm_adjust(Values{0.9, 0.8}), (Values{1, 1}));
  EXPECT_TRUE(holm_adjust({}).empty());
  EXPECT_THROW(holm_adjust(Values{-0.1}), Error);
  EXPECT_THROW(holm_adjust(Values{std::nan("")}), Error);
}

}  // namespace
}  // namespace cmunet::stats
