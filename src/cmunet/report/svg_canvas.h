// SPDX-License-Identifier: Apache-2.0
// What the plots of svg.h are made of: scales, ticks, escaped elements, the frame with its axes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmunet/report/svg.h"

namespace cmunet::report {

/// A closed interval of values on an axis; low < high.
struct Range {
  double low = 0;
  double high = 1;
};

/// Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], at most `max_count` + 1 of them.
std::vector<double> linear_ticks(Range range, int max_count);
/// Powers of ten within the range; over fewer than two decades also twice and five times them. low > 0.
std::vector<double> log_ticks(Range range);
/// Labels of neighbouring ticks: as many decimals as their distance needs; "2e-5" style when very small or large.
std::vector<std::string> tick_labels(std::span<const double> ticks, bool log);

/// What an axis must show: its own min and max where given, else the usable values, widened to the ticks when there
/// are `max_ticks` of them, exactly when that is 0. Never empty, also when there are no values or all are equal.
Range range_of(std::span<const double> values, const Axis& axis, int max_ticks);
/// How many ticks a vertical axis of this height carries at most.
int y_tick_count(double height_px);

/// Maps values to pixels.
struct Scale {
  Range range;
  double first_px = 0;  ///< where range.low lies
  double last_px = 1;
  bool log = false;
  /// Not finite when the value is not, or is not positive on a log scale.
  double operator()(double value) const;
};

/// The plotting area and its scales, in pixels of the canvas.
struct Frame {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
  Scale x;
  Scale y;
};

/// Where a text stands relative to its point.
enum class Anchor { kStart, kMiddle, kEnd };

/// An entry of a legend: a name, and the attributes of its line.
struct LegendEntry {
  std::string name;
  std::string attributes;
  std::optional<std::size_t> marker = std::nullopt;  ///< of this series
};

/// One SVG document under construction. Coordinates are pixels, y down.
class Canvas {
 public:
  /// `title` is the accessible name; it is also drawn when not empty.
  Canvas(double width, double height, const std::string& title);

  double width() const { return width_; }
  double height() const { return height_; }
  /// The first free y below the title and the legend.
  double content_top() const { return content_top_; }

  void legend(std::span<const LegendEntry> entries);
  void text(double x, double y, std::string_view text, Anchor anchor, std::string_view attributes = {});
  void line(double x1, double y1, double x2, double y2, std::string_view attributes);
  void rectangle(double x, double y, double width, double height, std::string_view attributes,
                 std::string_view tooltip = {});
  void dot(double x, double y, double radius, std::string_view attributes, std::string_view tooltip = {});
  /// The mark of series `i`: a disc, square, diamond or triangle in its colour.
  void marker(double x, double y, std::size_t i, std::string_view tooltip = {});
  /// A picture stretched over a rectangle; `uri` as of picture_uri.h.
  void picture(double x, double y, double width, double height, std::string_view uri);
  /// A path through points; `closed` for an area.
  void path(std::span<const double> x, std::span<const double> y, bool closed, std::string_view attributes,
            std::string_view tooltip = {});
  /// What follows until `end_clip` is cut off a few pixels outside the frame.
  void begin_clip(const Frame& frame);
  void end_clip();
  std::string str() const;

 private:
  double width_;
  double height_;
  double content_top_ = 10;
  std::string body_;
};

/// Draws the horizontal axis with ticks, grid lines over the frame's height and label.
void draw_x_axis(Canvas& canvas, const Frame& frame, const Axis& axis);
/// Draws the vertical axis with ticks, grid lines over the frame's width and label.
void draw_y_axis(Canvas& canvas, const Frame& frame, const Axis& axis);
/// Pixels that the labels of a vertical axis need to the left of the frame.
double y_axis_width(Range range, bool log, bool has_label);

/// The width of every plot: in a page they are then scaled alike, and so are their letters.
inline constexpr double kPlotWidthPx = 560;
/// Beyond so many dots a plot draws every n-th: keeps a page of a few plots below some hundred kB.
inline constexpr std::size_t kMaxDots = 1500;

/// Attributes of series `i`: its stroke colour with dash, its stroke colour alone, its fill.
std::string stroke_of(std::size_t i);
std::string solid_stroke_of(std::size_t i);
std::string fill_of(std::size_t i);

/// Attributes of everything that is not a series.
inline constexpr std::string_view kInkFill = R"(class="ink" fill="#1f2933")";
inline constexpr std::string_view kInkStroke = R"(class="ink-line" stroke="#1f2933")";
inline constexpr std::string_view kMutedFill = R"(class="muted" fill="#52606d")";
inline constexpr std::string_view kMutedStroke = R"(class="muted-line" stroke="#7b8794" stroke-dasharray="5 4")";
inline constexpr std::string_view kGrid = R"(class="grid" stroke="#e4e7eb")";

}  // namespace cmunet::report
