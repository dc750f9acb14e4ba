// SPDX-License-Identifier: Apache-2.0
// Summaries of a sample. NaN has no place here: callers take undefined values out and count them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace cmunet::stats {

/// NaN for an empty sample.
double mean(std::span<const double> values);
/// Sample standard deviation (n − 1); NaN below two values.
double standard_deviation(std::span<const double> values);
/// Quantile q in [0, 1] with linear interpolation between order statistics (NumPy's default); NaN when empty.
double quantile(std::span<const double> values, double q);

/// Interval of the mean by Student's t with n − 1 degrees of freedom, for few values, as over seeds. NaN below two.
/// @param level  in (0, 1). @throws Error kInvalidArgument for another.
std::array<double, 2> student_mean_interval(std::span<const double> values, double level = 0.95);

/// Percentile bootstrap interval of the mean (Efron & Tibshirani 1993, §13.3): resamples with replacement, the same for
/// the same seed. @param level e.g. 0.95. One value gives an interval of no width; none gives NaN.
std::array<double, 2> bootstrap_mean_interval(std::span<const double> values, std::uint64_t seed, double level = 0.95,
                                              int resamples = 2000);

}  // namespace cmunet::stats
