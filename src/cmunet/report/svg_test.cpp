// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/report/svg_canvas.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointwise;

const double kNaN = std::nan("");

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The values of an attribute of circles, in order.
std::vector<double> circle_values(const std::string& svg, const std::string& name) {
  std::vector<double> values;
  const std::regex pattern("<circle[^>]* " + name + "=\"([-0-9.]+)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), pattern), end; it != end; ++it) values.push_back(stod((*it)[1]));
  return values;
}

DistributionPlot::Group group_of(std::string name, std::vector<double> values, std::vector<std::string> labels = {}) {
  DistributionPlot::Group group;
  group.name = std::move(name);
  group.values = std::move(values);
  group.labels = std::move(labels);
  return group;
}

DistributionPlot plot_of(std::vector<DistributionPlot::Group> groups) {
  DistributionPlot plot;
  plot.groups = std::move(groups);
  return plot;
}

void expect_drawable(const std::string& svg) {
  EXPECT_EQ(WellFormed::problem_of(svg), "");
  for (const char* bad : {"nan", "inf", "∞", "–"}) EXPECT_THAT(svg, Not(HasSubstr(bad)));
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_THAT(linear_ticks({0, 1}, 5), Pointwise(DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(linear_ticks({-3, 7}, 5), Pointwise(DoubleNear(1e-12), {-2.0, 0.0, 2.0, 4.0, 6.0}));
  EXPECT_THAT(log_ticks({1e-4, 1e-1}), Pointwise(DoubleNear(1e-12), {1e-4, 1e-3, 1e-2, 1e-1}));
  EXPECT_THAT(log_ticks({1, 30}), Pointwise(DoubleNear(1e-9), {1.0, 2.0, 5.0, 10.0, 20.0}));
}

TEST(Ticks, StayFewForAnyRange) {
  Rng rng(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const double low = rng.normal() * std::pow(10.0, rng.uniform(-9, 9));
    const Range range{low, low + std::pow(10.0, rng.uniform(-9, 9))};
    const auto ticks = linear_ticks(range, 6);
    EXPECT_LE(ticks.size(), 7U) << range.low << " " << range.high;
    EXPECT_TRUE(std::is_sorted(ticks.begin(), ticks.end()));
  }
}

TEST(Ticks, LabelsHaveTheDecimalsTheyNeed) {
  const auto labels = [](std::vector<double> ticks, bool log = false) { return tick_labels(ticks, log); };
  EXPECT_THAT(labels({0, 0.05, 0.1}), ElementsAre("0.00", "0.05", "0.10"));
  EXPECT_THAT(labels({0, 20, 40}), ElementsAre("0", "20", "40"));
  EXPECT_THAT(labels({0, 2e-5, 4e-5}), ElementsAre("0", "2e-5", "4e-5"));
  EXPECT_THAT(labels({1e-5, 1, 1e10}, true), ElementsAre("1e-5", "1", "1e+10"));
}

TEST(Range, CoversValuesAndIsNeverEmpty) {
  const Range range = range_of(std::vector{0.13, 0.88, kNaN}, {}, 5);
  EXPECT_LE(range.low, 0.13);
  EXPECT_GE(range.high, 0.88);
  for (const auto& values : {std::vector<double>{}, {kNaN}, {3.0, 3.0}, {0.0}, {-1e300}}) {
    for (const int max_ticks : {0, 5}) {
      for (const bool log : {false, true}) {
        const Range r = range_of(values, {"", {}, {}, log}, max_ticks);
        EXPECT_LT(r.low, r.high);
        EXPECT_TRUE(!log || r.low > 0);
      }
    }
  }
  const Range fixed = range_of(std::vector{5.0}, {"", 0.0, 1.0, false}, 5);
  EXPECT_EQ(fixed.low, 0);
  EXPECT_EQ(fixed.high, 1);
}

TEST(LineChart, GapsBandsAndEscapedNames) {
  LineChart chart{"a < b & c", {"labels (n)", {}, {}, true}, {"Dice", {}, {}, false}, {}};
  chart.series.push_back({"<script>", {1, 10, 100, 1000}, {0.1, kNaN, 0.3, 0.4}, {0, 0, 0.2, 0.3}, {0.2, 1, 0.4, 0.5}});
  chart.series.push_back({"other", {0, 10}, {0.5, 0.6}, {}, {}});  // 0 has no place on a log axis
  const std::string svg = line_chart(chart);
  expect_drawable(svg);
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
  EXPECT_EQ(occurrences(svg, "<circle"), 4U);                // the points that have a place
  EXPECT_EQ(occurrences(svg, "fill-opacity=\"0.16\""), 1U);  // the band has no gap
}

TEST(LineChart, LinesWithWhiskersHaveTheSameGaps) {
  LineChart chart;
  chart.intervals = IntervalStyle::kWhisker;
  chart.series.push_back({"s", {1, 2, 3, 4, 5}, {0.1, 0.2, kNaN, 0.3, 0.4}, {}, {}});
  const std::string svg = line_chart(chart);
  expect_drawable(svg);
  EXPECT_EQ(occurrences(svg, "<circle"), 4U);
  EXPECT_EQ(occurrences(svg, "stroke-width=\"1.6\""), 2U);  // a line before the gap and one behind it
}

TEST(LineChart, HigherIsUpAndLaterIsRight) {
  const std::string svg = line_chart({"", {}, {}, {{"s", {1, 2, 3}, {0, 5, 10}, {}, {}}}});
  const auto x = circle_values(svg, "cx");
  const auto y = circle_values(svg, "cy");
  ASSERT_EQ(x.size(), 3U);
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.02);
  EXPECT_GT(x[1], x[0]);
  EXPECT_NEAR(y[0] - y[1], y[1] - y[2], 0.02);
  EXPECT_LT(y[1], y[0]);
}

TEST(LineChart, NothingToDraw) {
  expect_drawable(line_chart({}));
  expect_drawable(line_chart({"t", {"x", {}, {}, true}, {"y", {}, {}, true}, {{"s", {kNaN}, {kNaN}, {}, {}}}}));
}

TEST(LineChart, LengthsMustAgree) {
  EXPECT_THROW(line_chart({"", {}, {}, {{"s", {1, 2}, {1}, {}, {}}}}), Error);
  EXPECT_THROW(line_chart({"", {}, {}, {{"s", {1, 2}, {1, 2}, {1}, {1}}}}), Error);
}

TEST(Distribution, OneDotPerFiniteValue) {
  const std::string svg = distribution_plot(plot_of({group_of("", {0.5, kNaN, 0.7, 0.9}, {"a", "b", "<c>", "d"})}));
  expect_drawable(svg);
  EXPECT_EQ(occurrences(svg, "<circle"), 3U);
  EXPECT_THAT(svg, HasSubstr("<title>&lt;c&gt;: 0.700</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("b: ")));
}

TEST(Distribution, BarsCountEveryValue) {
  Rng rng(5);
  DistributionPlot plot = plot_of({group_of("", {})});
  for (int i = 0; i < 5000; ++i) plot.groups[0].values.push_back(rng.normal());
  const std::string svg = distribution_plot(plot);
  expect_drawable(svg);
  EXPECT_LE(occurrences(svg, "<circle"), 1500U);
  const std::regex bar("<title>-?[0-9]+(?:[.][0-9]{1,2})? to -?[0-9]+(?:[.][0-9]{1,2})?: ([0-9]+)</title></rect>");
  int total = 0;
  for (std::sregex_iterator it(svg.begin(), svg.end(), bar), end; it != end; ++it) total += std::stoi((*it)[1]);
  EXPECT_EQ(total, 5000);
}

TEST(Distribution, ConstantEmptyAndSeveralGroups) {
  expect_drawable(distribution_plot(plot_of({group_of("", {1, 1, 1})})));
  expect_drawable(distribution_plot({}));
  const std::string svg = distribution_plot(plot_of({group_of("scratch & co", {0.2, 0.3}), group_of("empty", {kNaN})}));
  expect_drawable(svg);
  EXPECT_THAT(svg, HasSubstr("scratch &amp; co"));
  EXPECT_THAT(svg, HasSubstr("no defined values"));
  EXPECT_THROW(distribution_plot(plot_of({group_of("", {1, 2}, {"one"})})), Error);
}

TEST(Scatter, IdentityLineRunsCornerToCorner) {
  ScatterPlot plot;
  plot.x_values = {1, 2, 9};
  plot.y_values = {2, 1, kNaN};
  plot.identity_line = true;
  plot.regression = ScatterPlot::Line{-1, 3};
  const std::string svg = scatter_plot(plot);
  expect_drawable(svg);
  EXPECT_EQ(occurrences(svg, "<circle"), 2U);
  plot.y_values.pop_back();
  EXPECT_THROW(scatter_plot(plot), Error);
}

TEST(BlandAltman, ShowsLimitsWithValues) {
  BlandAltmanPlot plot;
  plot.means = {3, 4, 5};
  plot.differences = {-0.5, 0.25, 0.5};
  plot.bias = 0.083;
  plot.lower_limit = -0.95;
  plot.upper_limit = 1.12;
  const std::string svg = bland_altman_plot(plot);
  expect_drawable(svg);
  EXPECT_THAT(svg, HasSubstr("bias 0.08"));
  EXPECT_THAT(svg, HasSubstr("+1.96 sd 1.12"));
  EXPECT_THAT(svg, HasSubstr("-1.96 sd -0.95"));
  plot.bias = plot.lower_limit = plot.upper_limit = kNaN;
  expect_drawable(bland_altman_plot(plot));
}

}  // namespace
}  // namespace cmunet::report
