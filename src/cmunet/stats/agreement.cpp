// SPDX-License-Identifier: Apache-2.0
#include "cmunet/stats/agreement.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/stats/summary.h"

namespace cmunet::stats {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void check_paired(std::span<const double> x, std::span<const double> y, const char* operation) {
  CMUNET_CHECK(x.size() == y.size(), ErrorCode::kInvalidArgument, "[", operation, "] samples have ", x.size(), " and ",
               y.size(), " values; expected pairs");
}

// Σ (x − mean x)(y − mean y)
double co_deviation(std::span<const double> x, std::span<const double> y) {
  const double x_mean = mean(x);
  const double y_mean = mean(y);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - x_mean) * (y[i] - y_mean);
  return sum;
}

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y) {
  check_paired(x, y, "pearson");
  // Two square roots: the product of the sums may overflow or vanish.
  const double scale = std::sqrt(co_deviation(x, x)) * std::sqrt(co_deviation(y, y));
  if (x.size() < 2 || !(scale > 0)) return kNan;
  return std::clamp(co_deviation(x, y) / scale, -1.0, 1.0);
}

double pearson_p_value(double r, std::int64_t n) {
  if (n < 3 || std::isnan(r)) return kNan;
  CMUNET_CHECK(r >= -1 && r <= 1, ErrorCode::kInvalidArgument, "[pearson_p_value] r is ", r, "; must be in [-1, 1]");
  if (std::abs(r) == 1) return 0;
  const auto freedom = static_cast<double>(n - 2);
  const double t = std::abs(r) * std::sqrt(freedom / ((1 - r) * (1 + r)));
  return 2 * boost::math::cdf(boost::math::complement(boost::math::students_t(freedom), t));
}

Line regression(std::span<const double> x, std::span<const double> y) {
  check_paired(x, y, "regression");
  const double spread = co_deviation(x, x);
  if (x.size() < 2 || !(spread > 0)) return {kNan, kNan};
  const double slope = co_deviation(x, y) / spread;
  return {slope, mean(y) - slope * mean(x)};
}

Agreement bland_altman(std::span<const double> a, std::span<const double> b) {
  check_paired(a, b, "bland_altman");
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), [](double u, double v) { return u - v; });
  const double bias = mean(differences);
  const double reach = 1.96 * standard_deviation(differences);
  return {bias, bias - reach, bias + reach};
}

}  // namespace cmunet::stats
