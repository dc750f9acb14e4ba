// SPDX-License-Identifier: Apache-2.0
#include "cmunet/stats/paired_tests.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/stats/summary.h"

namespace cmunet::stats {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// SciPy's limit too; all 2^50 sums still count exactly in a double.
constexpr std::size_t kLargestExact = 50;

std::vector<double> differences_of(std::span<const double> a, std::span<const double> b, const char* operation) {
  CMUNET_CHECK(a.size() == b.size(), ErrorCode::kInvalidArgument, "[", operation, "] samples have ", a.size(), " and ",
               b.size(), " values; expected pairs");
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), [](double u, double v) { return u - v; });
  return differences;
}

struct SignedRanks {
  double positive = 0, negative = 0;  // rank sums
  double tied_cubes = 0;              // Σ t³ − t over groups of t equal magnitudes
};

// Differences must be sorted by magnitude; equal magnitudes share their mean rank.
SignedRanks rank_sums(const std::vector<double>& differences) {
  SignedRanks ranks;
  for (std::size_t first = 0, last = 0; first < differences.size(); first = last) {
    while (last < differences.size() && std::abs(differences[last]) == std::abs(differences[first])) ++last;
    const double rank = static_cast<double>(first + 1 + last) / 2;
    for (std::size_t i = first; i < last; ++i) (differences[i] > 0 ? ranks.positive : ranks.negative) += rank;
    const auto t = static_cast<double>(last - first);
    ranks.tied_cubes += t * t * t - t;
  }
  return ranks;
}

// Chance that the ranks 1…n, each taken with probability 1/2, add up to `sum` or less.
double signed_rank_probability(std::size_t n, double sum) {
  std::vector<double> subsets(n * (n + 1) / 2 + 1);  // how many have each sum
  subsets[0] = 1;
  for (std::size_t rank = 1; rank <= n; ++rank) {
    for (std::size_t s = subsets.size() - 1; s >= rank; --s) subsets[s] += subsets[s - rank];
  }
  const auto last = subsets.begin() + static_cast<std::ptrdiff_t>(sum) + 1;
  return std::ldexp(std::accumulate(subsets.begin(), last, 0.0), -static_cast<int>(n));
}

double signed_rank_approximation(double n, double statistic, double tied_cubes) {
  const double centre = n * (n + 1) / 4;
  const double sd = std::sqrt((n * (n + 1) * (2 * n + 1) - tied_cubes / 2) / 24);
  const double distance = std::max(0.0, centre - statistic - 0.5);
  return 2 * boost::math::cdf(boost::math::complement(boost::math::normal(), distance / sd));
}

}  // namespace

TestResult paired_t_test(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> differences = differences_of(a, b, "paired_t_test");
  const auto n = static_cast<double>(differences.size());
  const double sd = standard_deviation(differences);
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max({largest, std::abs(a[i]), std::abs(b[i])});
  const double rounding = 4 * std::numeric_limits<double>::epsilon() * largest;  // of a difference that is constant
  if (!(sd > rounding)) return {kNan, kNan, static_cast<std::int64_t>(differences.size())};
  const double t = mean(differences) / (sd / std::sqrt(n));
  const double p = 2 * boost::math::cdf(boost::math::complement(boost::math::students_t(n - 1), std::abs(t)));
  return {t, p, static_cast<std::int64_t>(differences.size())};
}

TestResult wilcoxon_signed_rank_test(std::span<const double> a, std::span<const double> b) {
  std::vector<double> differences = differences_of(a, b, "wilcoxon_signed_rank_test");
  const std::size_t pairs = differences.size();
  std::erase(differences, 0.0);
  const std::size_t n = differences.size();
  if (n == 0) return {kNan, kNan, 0};
  std::sort(differences.begin(), differences.end(), [](double u, double v) { return std::abs(u) < std::abs(v); });
  const SignedRanks ranks = rank_sums(differences);
  const double statistic = std::min(ranks.positive, ranks.negative);
  const bool exact = n <= kLargestExact && n == pairs && ranks.tied_cubes == 0;
  const double p = exact ? std::min(1.0, 2 * signed_rank_probability(n, statistic))
                         : signed_rank_approximation(static_cast<double>(n), statistic, ranks.tied_cubes);
  return {statistic, p, static_cast<std::int64_t>(n)};
}

std::vector<double> holm_adjust(std::span<const double> p_values) {
  for (const double p : p_values) {
    CMUNET_CHECK(p >= 0 && p <= 1, ErrorCode::kInvalidArgument, "[holm_adjust] p-value ", p, "; must be in [0, 1]");
  }
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return p_values[i] < p_values[j]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = static_cast<double>(order.size() - rank) * p_values[order[rank]];
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace cmunet::stats
