// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/report/svg.h"
#include "cmunet/report/svg_canvas.h"
#include "cmunet/report/text.h"
#include "cmunet/stats/summary.h"

namespace cmunet::report {
namespace {

constexpr double kRowPx = 62;
constexpr double kHistogramPx = 128;

using Group = DistributionPlot::Group;

// The finite values of a group by size, each with its tooltip.
struct SortedGroup {
  std::vector<double> values;
  std::vector<std::string> labels;
};

SortedGroup sorted(const Group& group, const Axis& axis) {
  CMUNET_CHECK(group.labels.empty() || group.labels.size() == group.values.size(), ErrorCode::kInvalidArgument,
               "[distribution_plot] group '", group.name, "' has ", group.values.size(), " values and ",
               group.labels.size(), " labels; expected one length (or no labels)");
  std::vector<std::size_t> order(group.values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order,
                [&](std::size_t i) { return !std::isfinite(group.values[i]) || (axis.log && group.values[i] <= 0); });
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return group.values[a] < group.values[b]; });
  SortedGroup out;
  for (const std::size_t i : order) {
    const std::string name = group.labels.empty() ? "" : group.labels[i] + ": ";
    out.values.push_back(group.values[i]);
    out.labels.push_back(name + format_fixed(group.values[i], 3));
  }
  return out;
}

// Dots spread over the row's height by the golden ratio: even, and the same every time.
void draw_strip(Canvas& canvas, const Frame& frame, const SortedGroup& group, std::size_t colour, double middle) {
  const std::size_t stride = (group.values.size() + kMaxDots - 1) / kMaxDots;
  for (std::size_t i = 0; i < group.values.size(); i += stride) {
    const std::size_t ordinal = i / stride;
    const double turn = static_cast<double>(ordinal) * 0.6180339887498949;
    const double offset = (turn - std::floor(turn) - 0.5) * 34;
    canvas.dot(frame.x(group.values[i]), middle + offset, 2.4, fill_of(colour) + R"( fill-opacity="0.4")",
               group.labels[i]);
  }
}

void draw_box(Canvas& canvas, const Frame& frame, const std::vector<double>& values, std::size_t colour,
              double middle) {
  const double q1 = stats::quantile(values, 0.25);
  const double q3 = stats::quantile(values, 0.75);
  const double reach = 1.5 * (q3 - q1);
  const double low = *std::lower_bound(values.begin(), values.end(), q1 - reach);
  const double high = *std::prev(std::upper_bound(values.begin(), values.end(), q3 + reach));
  const std::string line = solid_stroke_of(colour) + R"( stroke-width="1.5")";
  const double x1 = frame.x(q1);
  const double x3 = frame.x(q3);
  const double median = frame.x(stats::quantile(values, 0.5));
  canvas.line(frame.x(low), middle, x1, middle, line);
  canvas.line(x3, middle, frame.x(high), middle, line);
  for (const double end : {low, high}) canvas.line(frame.x(end), middle - 7, frame.x(end), middle + 7, line);
  canvas.rectangle(x1, middle - 14, x3 - x1, 28, line + R"( fill="none")");
  canvas.line(median, middle - 14, median, middle + 14, solid_stroke_of(colour) + R"( stroke-width="3")");
  const double m = frame.x(stats::mean(values));
  canvas.path(std::vector{m - 5, m, m + 5, m}, std::vector{middle, middle - 5, middle, middle + 5}, true,
              concat(kInkFill, R"( stroke="#ffffff" stroke-width="1")"));
}

// Bins with round edges, about as wide as Freedman and Diaconis (1981) advise, 6 to 30 of them.
std::vector<double> bin_edges(const std::vector<double>& values, Range range) {
  const double spread = stats::quantile(values, 0.75) - stats::quantile(values, 0.25);
  const double advised = 2 * spread / std::cbrt(static_cast<double>(values.size()));
  const double width = range.high - range.low;
  const int bins = advised > 0 ? std::clamp(static_cast<int>(std::min(width / advised, 1e3)), 6, 30) : 12;
  const std::vector<double> ticks = linear_ticks(range, bins * 7 / 5);  // its steps are rounded up
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : width;
  std::vector<double> edges;
  const double first = std::floor(range.low / step + 1e-9);
  for (double k = first; k * step < range.high - 1e-9 * width && edges.size() < 64; k += 1) edges.push_back(k * step);
  edges.push_back(edges.back() + step);
  return edges;
}

void draw_histogram(Canvas& canvas, const std::vector<double>& values, Frame frame) {
  const std::vector<double> edges = bin_edges(values, frame.x.range);
  std::vector<double> counts(edges.size() - 1, 0.0);
  for (const double value : values) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), value);
    const auto bin = std::clamp<std::ptrdiff_t>(above - edges.begin() - 1, 0, std::ssize(counts) - 1);
    counts[static_cast<std::size_t>(bin)] += 1;
  }
  const std::vector<std::string> labels = tick_labels(edges, false);
  const double highest = *std::max_element(counts.begin(), counts.end());
  const int max_ticks = y_tick_count(frame.bottom - frame.top);
  frame.y = {range_of(std::vector{0.0, std::max(highest, 2.0)}, {}, max_ticks), frame.bottom, frame.top, false};
  draw_y_axis(canvas, frame, {"count", {}, {}, false});
  for (std::size_t b = 0; b < counts.size(); ++b) {
    if (counts[b] == 0) continue;
    const double x1 = std::max(frame.x(edges[b]), frame.left);
    const double x2 = std::min(frame.x(edges[b + 1]), frame.right);
    const double y = frame.y(counts[b]);
    canvas.rectangle(x1 + 0.5, y, std::max(0.5, x2 - x1 - 1), frame.bottom - y, fill_of(0) + R"( fill-opacity="0.75")",
                     concat(labels[b], " to ", labels[b + 1], ": ", counts[b]));
  }
  canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, kInkStroke);
}

}  // namespace

std::string distribution_plot(const DistributionPlot& plot) {
  std::vector<SortedGroup> groups;
  std::vector<double> all;
  std::size_t longest_name = 0;
  for (const Group& group : plot.groups) {
    groups.push_back(sorted(group, plot.axis));
    all.insert(all.end(), groups.back().values.begin(), groups.back().values.end());
    longest_name = std::max(longest_name, group.name.size());
  }
  const bool has_histogram = groups.size() == 1 && !all.empty() && !plot.axis.log;
  const bool has_names = groups.size() > 1;
  const double top = plot.title.empty() ? 12 : 40;
  const double rows_top = top + (has_histogram ? kHistogramPx + 8 : 0);
  const double bottom = rows_top + kRowPx * static_cast<double>(std::max<std::size_t>(groups.size(), 1));
  Canvas canvas(kPlotWidthPx, bottom + 46, plot.title);
  Frame frame;
  frame.left = has_names ? std::min(200.0, 24 + 6.6 * static_cast<double>(longest_name)) : 62;
  frame.right = canvas.width() - 22;
  frame.top = rows_top;
  frame.bottom = bottom;
  frame.x = {range_of(all, plot.axis, 6), frame.left, frame.right, plot.axis.log};
  Frame whole = frame;
  whole.top = top;
  draw_x_axis(canvas, whole, plot.axis);
  if (has_histogram) {
    whole.bottom = top + kHistogramPx;
    draw_histogram(canvas, all, whole);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const double middle = rows_top + kRowPx * (static_cast<double>(i) + 0.5);
    if (has_names) canvas.text(frame.left - 10, middle + 4, plot.groups[i].name, Anchor::kEnd);
    canvas.begin_clip(frame);
    draw_strip(canvas, frame, groups[i], i, middle);
    if (!groups[i].values.empty()) draw_box(canvas, frame, groups[i].values, i, middle);
    canvas.end_clip();
    if (groups[i].values.empty()) {
      canvas.text((frame.left + frame.right) / 2, middle + 4, "no defined values", Anchor::kMiddle, kMutedFill);
    }
  }
  return canvas.str();
}

}  // namespace cmunet::report
