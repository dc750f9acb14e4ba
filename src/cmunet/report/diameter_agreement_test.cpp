// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/diameter_agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cmunet::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

DiameterPairs some_pairs() { return {{"a", "b", "c", "d"}, {2.5, 4.5, 6.7, 8.3}, {2, 3, 4, 5}}; }

TEST(DiameterPairs, NeedThreeImagesThatDiffer) {
  EXPECT_FALSE(DiameterPairs{}.are_comparable());
  EXPECT_FALSE((DiameterPairs{{"a", "b"}, {2, 3}, {2, 3}}).are_comparable());
  EXPECT_FALSE((DiameterPairs{{"a", "b", "c"}, {2, 3, 4}, {2, 2, 2}}).are_comparable());
  EXPECT_TRUE((DiameterPairs{{"a", "b", "c"}, {2, 2, 2}, {2, 3, 4}}).are_comparable());
}

TEST(DiameterScatterPlot, NamesTheRegression) {
  const std::string svg = diameter_scatter_plot(some_pairs(), "cm_unet, seed 1");
  EXPECT_THAT(svg, HasSubstr("Mean diameter: cm_unet, seed 1"));
  EXPECT_THAT(svg, HasSubstr("y = 1.96 x − 1.36, r = 1.00, p = 0.002"));  // numpy.polyfit, scipy.stats.pearsonr
  EXPECT_THAT(diameter_scatter_plot(some_pairs(), ""), Not(HasSubstr("Mean diameter:")));
}

TEST(DiameterBlandAltmanPlot, NamesBiasAndImages) {
  const std::string svg = diameter_bland_altman_plot(some_pairs(), "");
  EXPECT_THAT(svg, HasSubstr("Agreement (Bland–Altman)"));
  EXPECT_THAT(svg, HasSubstr("bias 2.00"));  // the differences are 0.5, 1.5, 2.7 and 3.3
  for (const char* id : {"a:", "b:", "c:", "d:"}) EXPECT_THAT(svg, HasSubstr(id));
}

}  // namespace
}  // namespace cmunet::report
