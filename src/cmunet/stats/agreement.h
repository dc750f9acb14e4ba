// SPDX-License-Identifier: Apache-2.0
// How two measurements of the same things agree. Paired samples of one length without NaN.
#pragma once

#include <cstdint>
#include <span>

namespace cmunet::stats {

/// Pearson's correlation coefficient in [-1, 1]; NaN below two pairs or when one sample is constant.
/// @throws Error kInvalidArgument when lengths differ.
double pearson(std::span<const double> x, std::span<const double> y);

/// Two-sided p-value of Pearson's r over n pairs: the chance of a coefficient as far from 0 when the two are
/// independent and normal, by t = r √((n − 2) / (1 − r²)) with n − 2 degrees of freedom. NaN below three pairs or when
/// r is NaN.
double pearson_p_value(double r, std::int64_t n);

/// y = slope · x + intercept.
struct Line {
  double slope = 0;
  double intercept = 0;
};
/// Least squares of y on x; NaN below two pairs or when x is constant. @throws Error kInvalidArgument as above.
Line regression(std::span<const double> x, std::span<const double> y);

/// Bias and 95 % limits of agreement: mean ± 1.96 sample standard deviations of a − b.
struct Agreement {
  double bias = 0;
  double lower_limit = 0;
  double upper_limit = 0;
};
/// Bland and Altman (Lancet 1986). The bias of no pairs is NaN, so are the limits below two pairs.
/// @throws Error kInvalidArgument as above.
Agreement bland_altman(std::span<const double> a, std::span<const double> b);

}  // namespace cmunet::stats
