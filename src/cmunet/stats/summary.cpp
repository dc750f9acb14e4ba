// SPDX-License-Identifier: Apache-2.0
#include "cmunet/stats/summary.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"

namespace cmunet::stats {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double quantile_of_sorted(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(position);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return kNan;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  if (values.size() < 2) return kNan;
  const double centre = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - centre) * (v - centre);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double quantile(std::span<const double> values, double q) {
  CMUNET_CHECK(q >= 0 && q <= 1, ErrorCode::kInvalidArgument, "[quantile] q is ", q, "; must be in [0, 1]");
  if (values.empty()) return kNan;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return quantile_of_sorted(sorted, q);
}

std::array<double, 2> student_mean_interval(std::span<const double> values, double level) {
  CMUNET_CHECK(level > 0 && level < 1, ErrorCode::kInvalidArgument, "[student_mean_interval] level is ", level,
               "; must be in (0, 1)");
  if (values.size() < 2) return {kNan, kNan};
  const auto n = static_cast<double>(values.size());
  const double reach = boost::math::quantile(boost::math::students_t(n - 1), (1 + level) / 2) *
                       standard_deviation(values) / std::sqrt(n);
  return {mean(values) - reach, mean(values) + reach};
}

std::array<double, 2> bootstrap_mean_interval(std::span<const double> values, std::uint64_t seed, double level,
                                              int resamples) {
  CMUNET_CHECK(level > 0 && level < 1 && resamples > 0, ErrorCode::kInvalidArgument, "[bootstrap] level ", level, ", ",
               resamples, " resamples; expected a level in (0, 1) and a positive number");
  if (values.empty()) return {kNan, kNan};
  Rng rng(seed);
  std::vector<double> means(static_cast<std::size_t>(resamples));
  for (double& resampled : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[rng.below(values.size())];
    resampled = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  return {quantile_of_sorted(means, (1 - level) / 2), quantile_of_sorted(means, (1 + level) / 2)};
}

}  // namespace cmunet::stats
