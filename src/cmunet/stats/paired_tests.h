// SPDX-License-Identifier: Apache-2.0
// Is one of two paired measurements larger? All tests are two-sided. Paired samples of one length without NaN;
// @throws Error kInvalidArgument when lengths differ.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cmunet::stats {

struct TestResult {
  double statistic = 0;
  double p = 0;        ///< chance of a statistic as extreme when there is no difference
  std::int64_t n = 0;  ///< pairs that the test used
};

/// Student's t of the differences a − b, n − 1 degrees of freedom. NaN below two pairs or when all differences are
/// equal.
TestResult paired_t_test(std::span<const double> a, std::span<const double> b);

/// Wilcoxon's signed-rank test of a − b (Biometrics 1945). Pairs without a difference are left out; the statistic is
/// the smaller of the two rank sums. Exact for at most 50 pairs without ties and zeros; otherwise the normal
/// approximation with the correction for ties and for continuity. SciPy's `wilcoxon(a, b, correction=True)` gives the
/// same, but uses the exact distribution with ties too. NaN when no pair differs.
TestResult wilcoxon_signed_rank_test(std::span<const double> a, std::span<const double> b);

/// Holm's correction for testing several hypotheses (Scand. J. Statist. 1979): adjusted p-values in the order given;
/// those below α are significant at a family-wise error rate of α.
/// @throws Error kInvalidArgument for a p-value outside [0, 1].
std::vector<double> holm_adjust(std::span<const double> p_values);

}  // namespace cmunet::stats
