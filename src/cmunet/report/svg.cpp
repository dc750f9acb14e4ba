// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/svg.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "cmunet/base/error.h"
#include "cmunet/report/svg_canvas.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

constexpr std::size_t kMaxMarkedPoints = 40;  // more than these and markers hide their own line
constexpr double kXAxisHeightPx = 46;

void check_lengths(std::size_t x, std::size_t y, std::size_t labels, const char* operation) {
  CMUNET_CHECK(x == y && (labels == 0 || labels == x), ErrorCode::kInvalidArgument, "[", operation, "] ", x,
               " x values, ", y, " y values and ", labels, " labels; expected one length (or no labels)");
}

Frame make_frame(const Canvas& canvas, Range x, const Axis& x_axis, Range y, const Axis& y_axis, double right_margin) {
  Frame frame;
  frame.left = y_axis_width(y, y_axis.log, !y_axis.label.empty());
  frame.right = canvas.width() - right_margin;
  frame.top = canvas.content_top() + 8;
  frame.bottom = canvas.height() - kXAxisHeightPx;
  frame.x = {x, frame.left, frame.right, x_axis.log};
  frame.y = {y, frame.bottom, frame.top, y_axis.log};
  return frame;
}

void draw_axes(Canvas& canvas, const Frame& frame, const Axis& x_axis, const Axis& y_axis) {
  draw_y_axis(canvas, frame, y_axis);
  draw_x_axis(canvas, frame, x_axis);
}

// Calls draw(first, last) for each run of indices whose values all have a finite place in the frame.
template <typename IsFinite, typename Draw>
void for_each_run(std::size_t size, IsFinite is_finite, Draw draw) {
  for (std::size_t first = 0; first < size;) {
    std::size_t last = first;
    while (last < size && is_finite(last)) ++last;
    if (last > first) draw(first, last);
    first = last + 1;
  }
}

void draw_band(Canvas& canvas, const Frame& frame, const Series& series, std::size_t colour) {
  const auto is_finite = [&](std::size_t i) {
    return std::isfinite(frame.x(series.x[i])) && std::isfinite(frame.y(series.lower[i])) &&
           std::isfinite(frame.y(series.upper[i]));
  };
  for_each_run(series.lower.size(), is_finite, [&](std::size_t first, std::size_t last) {
    std::vector<double> x;
    std::vector<double> y;
    for (std::size_t i = first; i < last; ++i) {
      x.push_back(frame.x(series.x[i]));
      y.push_back(frame.y(series.upper[i]));
    }
    for (std::size_t i = last; i-- > first;) {
      x.push_back(frame.x(series.x[i]));
      y.push_back(frame.y(series.lower[i]));
    }
    canvas.path(x, y, true, fill_of(colour) + R"( fill-opacity="0.16" stroke="none")");
  });
}

void draw_line(Canvas& canvas, const Frame& frame, const Series& series, std::size_t colour) {
  const auto is_finite = [&](std::size_t i) {
    return std::isfinite(frame.x(series.x[i])) && std::isfinite(frame.y(series.y[i]));
  };
  const bool is_marked = series.x.size() <= kMaxMarkedPoints;
  for_each_run(series.x.size(), is_finite, [&](std::size_t first, std::size_t last) {
    std::vector<double> x;
    std::vector<double> y;
    for (std::size_t i = first; i < last; ++i) {
      x.push_back(frame.x(series.x[i]));
      y.push_back(frame.y(series.y[i]));
    }
    canvas.path(x, y, false, stroke_of(colour) + R"( stroke-width="2" stroke-linejoin="round")");
    for (std::size_t i = first; i < last && (is_marked || last - first == 1); ++i) {
      canvas.dot(x[i - first], y[i - first], 3, fill_of(colour),
                 concat(series.name, ": ", format_exact(series.x[i]), ", ", format_exact(series.y[i])));
    }
  });
}

// What is drawn at a point with whiskers: series stand beside one another, so that no mark hides another.
double shift_of(std::size_t i, std::size_t count) {
  constexpr double kStepPx = 5;
  return kStepPx * (static_cast<double>(i) - static_cast<double>(count - 1) / 2);
}

void draw_whiskers(Canvas& canvas, const Frame& frame, const Series& series, std::size_t i, std::size_t count) {
  const auto x_of = [&](std::size_t k) { return frame.x(series.x[k]) + shift_of(i, count); };
  const auto is_finite = [&](std::size_t k) { return std::isfinite(x_of(k)) && std::isfinite(frame.y(series.y[k])); };
  for_each_run(series.x.size(), is_finite, [&](std::size_t first, std::size_t last) {
    std::vector<double> xs, ys;
    for (std::size_t k = first; k < last; ++k) xs.push_back(x_of(k)), ys.push_back(frame.y(series.y[k]));
    canvas.path(xs, ys, false, stroke_of(i) + R"( stroke-width="1.6" stroke-linejoin="round")");
  });
  for (std::size_t k = 0; k < series.x.size(); ++k) {
    if (!is_finite(k)) continue;
    const double x = x_of(k), y = frame.y(series.y[k]);
    if (!series.lower.empty()) {
      const double low = frame.y(series.lower[k]), high = frame.y(series.upper[k]);
      if (std::isfinite(low) && std::isfinite(high) && low != high) {
        const std::string stroke = solid_stroke_of(i) + R"( stroke-width="1.4")";
        canvas.line(x, low, x, high, stroke);
        for (const double end : {low, high}) canvas.line(x - 2.5, end, x + 2.5, end, stroke);
      }
    }
    canvas.marker(x, y, i, concat(series.name, ": ", format_exact(series.x[k]), ", ", format_fixed(series.y[k], 4)));
  }
}

// Dots with their labels; beyond kMaxDots evenly chosen ones.
void draw_dots(Canvas& canvas, const Frame& frame, const std::vector<double>& x, const std::vector<double>& y,
               const std::vector<std::string>& labels) {
  const std::size_t stride = (x.size() + kMaxDots - 1) / kMaxDots;
  for (std::size_t i = 0; i < x.size(); i += stride) {
    const double dot_x = frame.x(x[i]);
    const double dot_y = frame.y(y[i]);
    if (!std::isfinite(dot_x) || !std::isfinite(dot_y)) continue;
    const std::string name = labels.empty() ? "" : labels[i] + ": ";
    canvas.dot(dot_x, dot_y, 3.2, fill_of(0) + R"( fill-opacity="0.55")",
               concat(name, format_fixed(x[i], 3), ", ", format_fixed(y[i], 3)));
  }
}

std::vector<double> joined(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

}  // namespace

std::string line_chart(const LineChart& chart) {
  std::vector<double> all_x;
  std::vector<double> all_y;
  std::vector<LegendEntry> legend;
  const bool has_whiskers = chart.intervals == IntervalStyle::kWhisker;
  for (const Series& series : chart.series) {
    check_lengths(series.x.size(), series.y.size(), 0, "line_chart");
    const bool band_ok =
        series.lower.size() == series.upper.size() && (series.lower.empty() || series.lower.size() == series.x.size());
    CMUNET_CHECK(band_ok, ErrorCode::kInvalidArgument, "[line_chart] series '", series.name, "' has ", series.x.size(),
                 " points, ", series.lower.size(), " lower and ", series.upper.size(), " upper bounds");
    all_x = joined(all_x, series.x);
    all_y = joined(joined(joined(all_y, series.y), series.lower), series.upper);
    const std::size_t i = legend.size();
    legend.push_back({series.name, stroke_of(i) + R"( stroke-width="2")",
                      has_whiskers ? std::optional<std::size_t>(i) : std::nullopt});
  }
  Canvas canvas(kPlotWidthPx, has_whiskers ? 400 : 320, chart.title);
  if (legend.size() > 1) canvas.legend(legend);
  const Frame frame =
      make_frame(canvas, range_of(all_x, chart.x, 0), chart.x, range_of(all_y, chart.y, 5), chart.y, 22);
  draw_axes(canvas, frame, chart.x, chart.y);
  canvas.begin_clip(frame);
  const std::size_t count = chart.series.size();
  for (std::size_t i = 0; i < count && !has_whiskers; ++i) draw_band(canvas, frame, chart.series[i], i);
  for (std::size_t i = 0; i < count && !has_whiskers; ++i) draw_line(canvas, frame, chart.series[i], i);
  for (std::size_t i = 0; i < count && has_whiskers; ++i) draw_whiskers(canvas, frame, chart.series[i], i, count);
  canvas.end_clip();
  return canvas.str();
}

std::string scatter_plot(const ScatterPlot& plot) {
  check_lengths(plot.x_values.size(), plot.y_values.size(), plot.labels.size(), "scatter_plot");
  const std::string regression_stroke = solid_stroke_of(1) + R"( stroke-width="2")";
  Canvas canvas(kPlotWidthPx, 430, plot.title);
  std::vector<LegendEntry> legend;
  if (plot.regression) {
    legend.push_back({plot.regression_name.empty() ? "regression" : plot.regression_name, regression_stroke});
  }
  if (plot.identity_line) legend.push_back({"identity", std::string(kMutedStroke)});
  if (!legend.empty()) canvas.legend(legend);
  const std::vector<double> both = joined(plot.x_values, plot.y_values);
  const Range x_range = range_of(plot.identity_line ? both : plot.x_values, plot.x, 6);
  const Range y_range = range_of(plot.identity_line ? both : plot.y_values, plot.y, 6);
  const Frame frame = make_frame(canvas, x_range, plot.x, y_range, plot.y, 22);
  draw_axes(canvas, frame, plot.x, plot.y);
  canvas.begin_clip(frame);
  if (plot.identity_line) {
    canvas.line(frame.x(x_range.low), frame.y(x_range.low), frame.x(x_range.high), frame.y(x_range.high), kMutedStroke);
  }
  draw_dots(canvas, frame, plot.x_values, plot.y_values, plot.labels);
  if (plot.regression) {
    const Range points = range_of(plot.x_values, {}, 0);
    const auto y_at = [&](double x) { return frame.y(plot.regression->slope * x + plot.regression->intercept); };
    const double y1 = y_at(points.low);
    const double y2 = y_at(points.high);
    if (std::isfinite(y1) && std::isfinite(y2)) {
      canvas.line(frame.x(points.low), y1, frame.x(points.high), y2, regression_stroke);
    }
  }
  canvas.end_clip();
  return canvas.str();
}

std::string bland_altman_plot(const BlandAltmanPlot& plot) {
  check_lengths(plot.means.size(), plot.differences.size(), plot.labels.size(), "bland_altman_plot");
  Canvas canvas(kPlotWidthPx, 430, plot.title);
  const std::vector<double> all_y = joined(plot.differences, {plot.bias, plot.lower_limit, plot.upper_limit, 0.0});
  const Frame frame =
      make_frame(canvas, range_of(plot.means, plot.x, 6), plot.x, range_of(all_y, plot.y, 6), plot.y, 96);
  draw_axes(canvas, frame, plot.x, plot.y);
  canvas.line(frame.left, frame.y(0), frame.right, frame.y(0), kInkStroke);
  canvas.begin_clip(frame);
  draw_dots(canvas, frame, plot.means, plot.differences, plot.labels);
  canvas.end_clip();
  struct Level {
    double value;
    const char* name;
    bool is_limit;
  };
  const Level levels[] = {
      {plot.upper_limit, "+1.96 sd", true}, {plot.bias, "bias", false}, {plot.lower_limit, "-1.96 sd", true}};
  for (const Level& level : levels) {
    const double y = frame.y(level.value);
    if (!std::isfinite(y)) continue;
    canvas.line(frame.left, y, frame.right, y,
                solid_stroke_of(1) +
                    (level.is_limit ? R"( stroke-width="1.5" stroke-dasharray="7 4")" : R"( stroke-width="2")"));
    canvas.text(frame.right + 6, y + 4, concat(level.name, " ", format_fixed(level.value, 2)), Anchor::kStart);
  }
  return canvas.str();
}

}  // namespace cmunet::report
