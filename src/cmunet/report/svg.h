// SPDX-License-Identifier: Apache-2.0
// Plots as SVG text: dark on white with attributes of their own, so that a saved file stands alone; elements also
// carry classes by which a page recolours them (html.h does for dark mode). No ids, so plots can share one page.
// Series differ in colour and dash; points carry their label as a tooltip. All text is escaped.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cmunet::report {

/// One axis. Without min and max it covers the finite values, widened to round numbers.
struct Axis {
  std::string label;          ///< with its unit: "diameter (px)"
  std::optional<double> min;  ///< values beyond are cut off, not moved
  std::optional<double> max;
  bool log = false;                ///< base 10; values that are not positive are left out
  std::vector<double> ticks = {};  ///< these and no others; empty for round numbers
};

/// A named line; `x` and `y` have one length. A non-finite y leaves a gap.
struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> lower;  ///< around the line, e.g. a confidence interval; both empty for none
  std::vector<double> upper;
};

/// How the intervals around lines are drawn.
enum class IntervalStyle {
  kBand,     ///< an area; for few lines of many points
  kWhisker,  ///< vertical bars; lines get markers of their own and stand beside one another; for many lines, few points
};

struct LineChart {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Series> series;
  IntervalStyle intervals = IntervalStyle::kBand;
};
/// Lines with optional intervals and a legend. @throws Error kInvalidArgument when lengths within a series differ.
std::string line_chart(const LineChart& chart);

struct DistributionPlot {
  struct Group {
    std::string name;
    std::vector<double> values;       ///< non-finite values are left out
    std::vector<std::string> labels;  ///< tooltips; empty, or one per value
  };
  std::string title;
  Axis axis;
  std::vector<Group> groups;
};
/// Every value as a dot behind a box: quartiles (linear interpolation), median, mean as a diamond, whiskers to the
/// furthest value within 1.5 interquartile ranges. A single group also gets a histogram above.
/// Above 1,500 values in a group every n-th (by size) is drawn as a dot; boxes and bars use all.
/// @throws Error kInvalidArgument when labels do not match values.
std::string distribution_plot(const DistributionPlot& plot);

/// Points (x[i], y[i]); pairs with a non-finite value are left out.
struct ScatterPlot {
  struct Line {
    double slope = 0;
    double intercept = 0;
  };
  std::string title;
  Axis x;
  Axis y;
  std::vector<double> x_values;
  std::vector<double> y_values;
  std::vector<std::string> labels;  ///< tooltips; empty, or one per point
  std::optional<Line> regression;   ///< drawn over the range of the points only
  std::string regression_name;      ///< for the legend: "y = 0.91 x + 0.2, r = 0.87"
  bool identity_line = false;       ///< dashed y = x; both axes then cover one range
};
/// @throws Error kInvalidArgument when lengths differ.
std::string scatter_plot(const ScatterPlot& plot);

/// Difference against mean of two measurements (Bland and Altman, 1986). The statistics are the caller's.
struct BlandAltmanPlot {
  std::string title;
  Axis x;  ///< mean of both
  Axis y;  ///< difference
  std::vector<double> means;
  std::vector<double> differences;
  std::vector<std::string> labels;  ///< tooltips; empty, or one per point
  double bias = 0;
  double lower_limit = 0;  ///< bias − 1.96 sd
  double upper_limit = 0;  ///< bias + 1.96 sd
};
/// @throws Error kInvalidArgument when lengths differ.
std::string bland_altman_plot(const BlandAltmanPlot& plot);

}  // namespace cmunet::report
