// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/svg_canvas.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "cmunet/base/error.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

constexpr double kCharWidthPx = 6.4;  // mean advance of a 12 px sans-serif digit or letter, a little generous
constexpr double kLegendRowPx = 20;
constexpr double kClipMarginPx = 6;

// Okabe and Ito (2008), without their yellow, which vanishes on white, and with a grey for their black.
constexpr std::array<const char*, 7> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#4d5761"};
constexpr std::array<const char*, 4> kDashes{"", "7 4", "2 3", "9 3 2 3"};

std::string px(double value) {
  std::string text = format_fixed(value, 2);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

double text_width(std::string_view text) {
  const auto letters =
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return kCharWidthPx * static_cast<double>(letters);
}

// 1, 2 or 5 times a power of ten, at least `minimum`.
double nice_step(double minimum) {
  const double power = std::pow(10.0, std::floor(std::log10(minimum)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= minimum * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// The nearest of 1, 2, 5 times a power of ten at or below (`up` false) or at or above `value`.
double nice_log_bound(double value, bool up) {
  const double power = std::pow(10.0, std::floor(std::log10(value) + 1e-9));
  constexpr std::array<double, 4> kFactors{1, 2, 5, 10};
  if (up) {
    for (const double factor : kFactors) {
      if (factor * power >= value * (1 - 1e-9)) return factor * power;
    }
  }
  const auto below = std::find_if(kFactors.rbegin(), kFactors.rend(),
                                  [=](double factor) { return factor * power <= value * (1 + 1e-9); });
  return (below == kFactors.rend() ? 1.0 : *below) * power;
}

std::string tooltip_of(std::string_view text) { return text.empty() ? "/>" : "><title>" + escape(text) + "</title>"; }

// Closes an element that may hold a tooltip.
std::string closing(const char* name, std::string_view tooltip) {
  return tooltip_of(tooltip) + (tooltip.empty() ? std::string() : concat("</", name, ">")) + "\n";
}

std::string compact(double value) {
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, 6);
  std::string text(buffer.data(), end.ptr);
  // "2e-05" -> "2e-5"
  for (const char* zero : {"e-0", "e+0"}) {
    const std::size_t at = text.find(zero);
    if (at != std::string::npos) text.erase(at + 2, 1);
  }
  return text;
}

std::vector<double> ticks_of(const Scale& scale, const Axis& axis, int max_count) {
  if (!axis.ticks.empty()) return axis.ticks;
  return scale.log ? log_ticks(scale.range) : linear_ticks(scale.range, max_count);
}

}  // namespace

int y_tick_count(double height_px) { return std::max(2, static_cast<int>(height_px / 45)); }

std::vector<double> linear_ticks(Range range, int max_count) {
  const double step = nice_step((range.high - range.low) / std::max(1, max_count));
  std::vector<double> ticks;
  const double first = std::ceil(range.low / step - 1e-9);
  const double last = std::floor(range.high / step + 1e-9);
  // A range far from zero may be narrower than its numbers resolve; the count stays bounded all the same.
  for (double k = first; k <= last && static_cast<int>(ticks.size()) <= max_count; k += 1) {
    ticks.push_back(k == 0 ? 0.0 : k * step);
  }
  return ticks;
}

std::vector<double> log_ticks(Range range) {
  const double first = std::floor(std::log10(range.low) + 1e-9);
  const double last = std::ceil(std::log10(range.high) - 1e-9);
  const double stride = std::max(1.0, std::ceil((last - first) / 8));
  const bool is_narrow = std::log10(range.high / range.low) < 2;
  std::vector<double> ticks;
  for (double k = first; k <= last; k += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, k);
      const bool is_inside = value >= range.low * (1 - 1e-9) && value <= range.high * (1 + 1e-9);
      if (is_inside && (factor == 1.0 || is_narrow)) ticks.push_back(value);
    }
  }
  return ticks;
}

std::vector<std::string> tick_labels(std::span<const double> ticks, bool log) {
  std::vector<std::string> labels;
  const double largest = ticks.empty() ? 0 : std::max(std::abs(ticks.front()), std::abs(ticks.back()));
  const double step = ticks.size() > 1 ? std::abs(ticks[1] - ticks[0]) : largest;
  const bool is_plain = !log && largest < 1e6 && step >= 1e-4 * (1 - 1e-9);
  const int digits = is_plain ? std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9))) : 0;
  for (const double tick : ticks) labels.push_back(is_plain ? format_fixed(tick, digits) : compact(tick));
  return labels;
}

Range range_of(std::span<const double> values, const Axis& axis, int max_ticks) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low = kInfinity;
  double high = -kInfinity;
  for (const double value : values) {
    if (!std::isfinite(value) || (axis.log && value <= 0)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = axis.log ? 1 : 0;
  if (axis.log) {
    if (max_ticks > 0 || low == high) {
      low = nice_log_bound(low, false);
      high = nice_log_bound(high, true);
    }
    low = axis.min && *axis.min > 0 ? *axis.min : low;
    high = axis.max && *axis.max > 0 ? *axis.max : high;
    return high > low ? Range{low, high} : Range{low / 2, low * 2};
  }
  if (low == high) {
    const double half = low == 0 ? 0.5 : std::abs(low) / 10;
    low -= half;
    high += half;
  }
  // Widening may call for a larger step, which may call for widening again; three rounds settle it.
  for (int round = 0; round < 3 && max_ticks > 0; ++round) {
    const double step = nice_step((high - low) / max_ticks);
    low = std::floor(low / step + 1e-9) * step;
    high = std::ceil(high / step - 1e-9) * step;
  }
  low = axis.min.value_or(low);
  high = axis.max.value_or(high);
  return high > low ? Range{low, high} : Range{low, low + 1};
}

double Scale::operator()(double value) const {
  const double share = log ? std::log(value / range.low) / std::log(range.high / range.low)
                           : (value - range.low) / (range.high - range.low);
  return first_px + share * (last_px - first_px);
}

Canvas::Canvas(double width, double height, const std::string& title) : width_(width), height_(height) {
  if (title.empty()) return;
  body_ += "<title>" + escape(title) + "</title>\n";
  text(12, 21, title, Anchor::kStart, R"(font-size="14" font-weight="600")");
  content_top_ = 32;
}

void Canvas::legend(std::span<const LegendEntry> entries) {
  double x = 12;
  double y = content_top_ + 9;
  for (const LegendEntry& entry : entries) {
    const double entry_width = 30 + text_width(entry.name) + 16;
    if (x > 12 && x + entry_width > width_) {
      x = 12;
      y += kLegendRowPx;
    }
    line(x, y, x + 24, y, entry.attributes);
    if (entry.marker) marker(x + 12, y, *entry.marker);
    text(x + 30, y + 4, entry.name, Anchor::kStart);
    x += entry_width;
  }
  content_top_ = y + 13;
}

void Canvas::text(double x, double y, std::string_view text, Anchor anchor, std::string_view attributes) {
  const char* name = anchor == Anchor::kStart ? "start" : anchor == Anchor::kMiddle ? "middle" : "end";
  const bool has_class = attributes.find("class=") != std::string_view::npos;
  body_ += concat("<text x=\"", px(x), "\" y=\"", px(y), "\" text-anchor=\"", name, "\" ", has_class ? "" : kInkFill,
                  " ", attributes, ">", escape(text), "</text>\n");
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view attributes) {
  body_ += concat("<line x1=\"", px(x1), "\" y1=\"", px(y1), "\" x2=\"", px(x2), "\" y2=\"", px(y2), "\" ", attributes,
                  "/>\n");
}

void Canvas::rectangle(double x, double y, double width, double height, std::string_view attributes,
                       std::string_view tooltip) {
  body_ += concat("<rect x=\"", px(x), "\" y=\"", px(y), "\" width=\"", px(width), "\" height=\"", px(height), "\" ",
                  attributes, closing("rect", tooltip));
}

void Canvas::dot(double x, double y, double radius, std::string_view attributes, std::string_view tooltip) {
  body_ += concat("<circle cx=\"", px(x), "\" cy=\"", px(y), "\" r=\"", px(radius), "\" ", attributes,
                  closing("circle", tooltip));
}

void Canvas::marker(double x, double y, std::size_t i, std::string_view tooltip) {
  switch (i % 4) {
    case 0: return dot(x, y, 4, fill_of(i), tooltip);
    case 1: return rectangle(x - 3.5, y - 3.5, 7, 7, fill_of(i), tooltip);
    case 2: return path(std::array{x, x + 5, x, x - 5}, std::array{y - 5, y, y + 5, y}, true, fill_of(i), tooltip);
    default:
      return path(std::array{x, x + 4.8, x - 4.8}, std::array{y - 5, y + 3.6, y + 3.6}, true, fill_of(i), tooltip);
  }
}

void Canvas::picture(double x, double y, double width, double height, std::string_view uri) {
  body_ += concat("<image x=\"", px(x), "\" y=\"", px(y), "\" width=\"", px(width), "\" height=\"", px(height),
                  "\" preserveAspectRatio=\"none\" href=\"", uri, "\"/>\n");
}

void Canvas::path(std::span<const double> x, std::span<const double> y, bool closed, std::string_view attributes,
                  std::string_view tooltip) {
  body_ += "<path d=\"";
  for (std::size_t i = 0; i < x.size(); ++i) body_ += concat(i == 0 ? "M" : "L", px(x[i]), " ", px(y[i]));
  body_ += concat(closed ? "Z" : "", "\" ", attributes, closed ? "" : " fill=\"none\"", closing("path", tooltip));
}

void Canvas::begin_clip(const Frame& frame) {
  const std::string x = px(frame.left - kClipMarginPx);
  const std::string y = px(frame.top - kClipMarginPx);
  const std::string width = px(frame.right - frame.left + 2 * kClipMarginPx);
  const std::string height = px(frame.bottom - frame.top + 2 * kClipMarginPx);
  // A nested viewport with the outer coordinates: clips without needing an id.
  body_ += concat("<svg x=\"", x, "\" y=\"", y, "\" width=\"", width, "\" height=\"", height, "\" viewBox=\"", x, " ",
                  y, " ", width, " ", height, "\" overflow=\"hidden\">\n");
}

void Canvas::end_clip() { body_ += "</svg>\n"; }

std::string Canvas::str() const {
  return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" viewBox=\"0 0 ", px(width_), " ",
                px(height_), "\" width=\"", px(width_), "\" height=\"", px(height_),
                "\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"12\">\n"
                "<rect class=\"paper\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
                body_, "</svg>\n");
}

void draw_x_axis(Canvas& canvas, const Frame& frame, const Axis& axis) {
  const int max_count = std::max(2, static_cast<int>((frame.right - frame.left) / 70));
  const std::vector<double> ticks = ticks_of(frame.x, axis, max_count);
  const std::vector<std::string> labels = tick_labels(ticks, frame.x.log);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double x = frame.x(ticks[i]);
    canvas.line(x, frame.top, x, frame.bottom, kGrid);
    canvas.text(x, frame.bottom + 17, labels[i], Anchor::kMiddle, kMutedFill);
  }
  canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, kInkStroke);
  canvas.text((frame.left + frame.right) / 2, frame.bottom + 36, axis.label, Anchor::kMiddle);
}

void draw_y_axis(Canvas& canvas, const Frame& frame, const Axis& axis) {
  const std::vector<double> ticks = ticks_of(frame.y, axis, y_tick_count(frame.bottom - frame.top));
  const std::vector<std::string> labels = tick_labels(ticks, frame.y.log);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double y = frame.y(ticks[i]);
    canvas.line(frame.left, y, frame.right, y, kGrid);
    canvas.text(frame.left - 7, y + 4, labels[i], Anchor::kEnd, kMutedFill);
  }
  if (axis.label.empty()) return;
  const double middle = (frame.top + frame.bottom) / 2;
  canvas.text(17, middle, axis.label, Anchor::kMiddle, concat("transform=\"rotate(-90 17 ", px(middle), ")\""));
}

double y_axis_width(Range range, bool log, bool has_label) {
  const std::vector<double> ticks = log ? log_ticks(range) : linear_ticks(range, 6);
  double widest = 0;
  for (const std::string& label : tick_labels(ticks, log)) widest = std::max(widest, text_width(label));
  return widest + (has_label ? 38 : 18);
}

std::string solid_stroke_of(std::size_t i) {
  const std::size_t colour = i % kColours.size();
  return concat("class=\"stroke-", colour, "\" stroke=\"", kColours[colour], "\"");
}

std::string stroke_of(std::size_t i) {
  const char* dash = kDashes[i % kDashes.size()];
  return solid_stroke_of(i) + (*dash == '\0' ? std::string() : concat(" stroke-dasharray=\"", dash, "\""));
}

std::string fill_of(std::size_t i) {
  const std::size_t colour = i % kColours.size();
  return concat("class=\"fill-", colour, "\" fill=\"", kColours[colour], "\"");
}

}  // namespace cmunet::report
