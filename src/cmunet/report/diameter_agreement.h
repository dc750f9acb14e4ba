// SPDX-License-Identifier: Apache-2.0
// Predicted against true mean vessel diameters, after the paper's §IV.B.3 and Fig. 4.
#pragma once

#include <string>
#include <vector>

namespace cmunet::report {

/// Mean diameters in px, one pair per image in which both masks have a vessel.
struct DiameterPairs {
  std::vector<std::string> ids;
  std::vector<double> pred_px, target_px;

  /// Regression and limits of agreement mean something: three images or more, whose true diameters differ.
  bool are_comparable() const;
};

/// Both as SVG. The scatter plot has the regression line with Pearson's r and its p, and the line of identity; the
/// Bland–Altman plot has the bias and the 95 % limits of agreement. Expects pairs that are comparable.
/// @param of  what the title names behind the measure; may be empty
std::string diameter_scatter_plot(const DiameterPairs& pairs, const std::string& of);
std::string diameter_bland_altman_plot(const DiameterPairs& pairs, const std::string& of);

}  // namespace cmunet::report
