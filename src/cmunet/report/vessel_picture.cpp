// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/vessel_picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/report/overlay.h"
#include "cmunet/report/picture_uri.h"
#include "cmunet/report/svg_canvas.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

using image::PointF;
using image::Rgb;
using vessel::MeasuredSegment;
using vessel::Measurement;
using vessel::Narrowing;
using vessel::Sample;

constexpr double kPictureWidth_px = 1060;
constexpr double kBarHeight_px = 46;
constexpr Rgb kNoImage{40, 40, 40};
constexpr int kColourBands = 24;
// Narrow to wide. Light at the narrow end: there it matters, on vessels that are dark.
constexpr std::array<Rgb, 5> kDiameterColours{
    {{255, 225, 77}, {250, 150, 80}, {226, 86, 132}, {150, 92, 214}, {80, 140, 255}}};
constexpr std::string_view kContourStroke = R"(style="stroke:#e8f4ff" stroke-opacity="0.75" stroke-width="1.2")";
constexpr std::string_view kMaskStroke = R"(style="stroke:#e8f4ff" stroke-opacity="0.3" stroke-width="0.9")";
constexpr std::string_view kPlaque = R"(style="fill:#d55e00" fill-opacity="0.6" stroke="none")";
constexpr std::string_view kBar = R"(style="stroke:#ffffff" stroke-width="2.5")";
constexpr std::string_view kBrokenBar = R"(style="stroke:#ffffff" stroke-width="2" stroke-dasharray="3 3")";
constexpr double kLabelWidth_px = 84;  // of "99: 100 %"
constexpr std::string_view kHalo =
    R"(style="fill:#ffffff;stroke:#000000;stroke-width:3px;paint-order:stroke" font-size="15" font-weight="600")";

std::string css(const Rgb& c) { return concat("rgb(", int{c.r}, ",", int{c.g}, ",", int{c.b}, ")"); }

Rgb colour_at(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * (kDiameterColours.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), kDiameterColours.size() - 2);
  const double f = at - static_cast<double>(i);
  const auto mix = [f](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround((1 - f) * a + f * b));
  };
  const Rgb &a = kDiameterColours[i], &b = kDiameterColours[i + 1];
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

// Round limits that hold nearly all diameters, in the unit of the page.
Range diameter_range(const Measurement& m) {
  std::vector<double> diameters;
  for (const MeasuredSegment& segment : m.segments) {
    for (const Sample& s : segment.samples) diameters.push_back(s.diameter_px * unit_of(m).per_px);
  }
  return range_of(diameters, {.label = "", .min = 0.0, .max = std::nullopt}, 6);
}

// First and last index of each run of samples without a gap.
std::vector<std::pair<std::size_t, std::size_t>> runs_of(const std::vector<Sample>& samples) {
  std::vector<std::pair<std::size_t, std::size_t>> runs;
  for (std::size_t first = 0; first < samples.size();) {
    std::size_t last = first;
    while (last + 1 < samples.size() && samples[last + 1].arc_px - samples[last].arc_px < 2) ++last;
    runs.emplace_back(first, last);
    first = last + 1;
  }
  return runs;
}

// Draws on a canvas of which one picture column is `scale` units wide.
class PictureDrawing {
 public:
  PictureDrawing(const Measurement& m, const image::Image<std::uint8_t>& grey, const Window& window, double width_px,
                 double margin_px)
      : m_(m),
        window_(window),
        scale_x_(width_px / window.width),
        scale_y_(scale_x_ * m.calibration.aspect),
        canvas_(width_px, window.height * scale_y_ + margin_px, "") {
    CMUNET_CHECK(grey.empty() || (grey.height() == m.height && grey.width() == m.width), ErrorCode::kInvalidArgument,
                 "[vessel_picture] the picture is ", grey.height(), "x", grey.width(), " but ", m.height, "x", m.width,
                 " was measured; both must have one size");
    const image::Image<std::uint8_t> part = crop(grey);
    canvas_.picture(0, 0, width_px, height(),
                    picture_uri(part.empty() ? image::ImageRgb(window.height, window.width, kNoImage) : to_rgb(part)));
    Frame frame;
    frame.right = width_px, frame.bottom = height();
    canvas_.begin_clip(frame);
  }

  // Of the mask; with walls from the picture those, the mask's fainter behind them.
  void contours() {
    for (const auto& contour : m_.contours) path(contour, false, m_.walls ? kMaskStroke : kContourStroke);
    if (!m_.walls) return;
    for (const MeasuredSegment& segment : m_.segments) {
      for (const auto& [first, last] : runs_of(segment.samples)) {
        for (PointF Sample::*const wall : {&Sample::left, &Sample::right}) {
          std::vector<PointF> line;
          for (std::size_t i = first; i <= last; ++i) line.push_back(segment.samples[i].*wall);
          path(line, false, kContourStroke);
        }
      }
    }
  }

  // What the reference has and the lumen has not, on both sides.
  void plaque(const MeasuredSegment& segment) {
    const Narrowing& n = *segment.narrowing;
    const vessel::DiameterLine& line = n.against_reference(m_.reference).line;
    for (const double side : {-1.0, 1.0}) {
      std::vector<PointF> border;
      for (std::size_t i = n.first; i <= n.last; ++i) {
        border.push_back(side < 0 ? segment.samples[i].left : segment.samples[i].right);
      }
      for (std::size_t i = n.last + 1; i-- > n.first;) {
        const Sample& s = segment.samples[i];
        const double reach = side * std::max(1.0, line.at(s.arc_px) / s.diameter_px) / 2;
        border.push_back({s.centre.y + reach * (s.right.y - s.left.y), s.centre.x + reach * (s.right.x - s.left.x)});
      }
      path(border, true, kPlaque);
    }
  }

  // Pieces of one colour each.
  void centreline(const MeasuredSegment& segment, const Range& range) {
    const double per_px = unit_of(m_).per_px;
    const auto band_of = [&](const Sample& s) {
      const double share = (s.diameter_px * per_px - range.low) / (range.high - range.low);
      return static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * (kColourBands - 1)));
    };
    const std::vector<Sample>& samples = segment.samples;
    for (std::size_t first = 0; first < samples.size();) {
      std::vector<PointF> piece{samples[first].centre};
      std::size_t last = first + 1;
      const auto is_next = [&] { return last < samples.size() && samples[last].arc_px - samples[last - 1].arc_px < 2; };
      for (; is_next() && band_of(samples[last]) == band_of(samples[first]); ++last) {
        piece.push_back(samples[last].centre);
      }
      if (is_next()) piece.push_back(samples[last].centre);
      const Rgb colour = colour_at(static_cast<double>(band_of(samples[first])) / (kColourBands - 1));
      path(piece, false, concat("style=\"stroke:", css(colour), "\" stroke-width=\"2.6\" stroke-linecap=\"round\""));
      first = last;
    }
  }

  void narrowest_place(const MeasuredSegment& segment, const std::string& label) {
    text(cross(segment.samples[segment.narrowing->sample], kBar), label);
  }

  void excluded_places(const MeasuredSegment& segment) {
    for (const Narrowing& n : segment.excluded) {
      if (is_excluded(n, m_.reference)) cross(segment.samples[n.sample], kBrokenBar);
    }
  }

  void number(const MeasuredSegment& segment, std::size_t number) {
    text(segment.centreline[segment.centreline.size() / 2], concat(number));
  }

  std::string finish() {
    canvas_.end_clip();
    return canvas_.str();
  }

  // With the colours and their diameters below the picture.
  std::string finish(const Range& range) {
    canvas_.end_clip();
    const LengthUnit unit = unit_of(m_);
    const double left = 96, right = 560, top = height() + 10;
    const double step = (right - left) / kColourBands;
    canvas_.text(12, top + 11, concat("diameter (", unit.name, ")"), Anchor::kStart, kMutedFill);
    for (int i = 0; i < kColourBands; ++i) {
      const Rgb colour = colour_at((i + 0.5) / kColourBands);
      canvas_.rectangle(left + 14 + i * step, top, step + 0.5, 12, concat("style=\"fill:", css(colour), "\""));
    }
    const std::vector<double> ticks = linear_ticks(range, 6);
    const std::vector<std::string> labels = tick_labels(ticks, false);
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      const double share = (ticks[i] - range.low) / (range.high - range.low);
      canvas_.text(left + 14 + share * (right - left), top + 27, labels[i], Anchor::kMiddle, kMutedFill);
    }
    canvas_.line(right + 50, top + 6, right + 74, top + 6, R"(style="stroke:#8fb8d8" stroke-width="2")");
    canvas_.text(right + 80, top + 11, m_.walls ? "walls" : "lumen contour", Anchor::kStart, kMutedFill);
    canvas_.rectangle(right + 190, top, 24, 12, kPlaque);
    canvas_.text(right + 220, top + 11, "missing to the reference", Anchor::kStart, kMutedFill);
    return canvas_.str();
  }

 private:
  double height() const { return window_.height * scale_y_; }
  double x(double column) const { return (column - window_.left + 0.5) * scale_x_; }
  double y(double row) const { return (row - window_.top + 0.5) * scale_y_; }

  // A bar across a vessel and 4 px beyond; returns where it ends.
  PointF cross(const Sample& s, std::string_view attributes) {
    const double reach = 0.5 + 4.0 / std::max(1.0, s.diameter_px);
    const PointF across{reach * (s.right.y - s.left.y), reach * (s.right.x - s.left.x)};
    canvas_.line(x(s.centre.x - across.x), y(s.centre.y - across.y), x(s.centre.x + across.x), y(s.centre.y + across.y),
                 attributes);
    return {s.centre.y + across.y, s.centre.x + across.x};
  }

  void path(std::span<const PointF> points, bool closed, std::string_view attributes) {
    std::vector<double> xs, ys;
    for (const PointF& p : points) xs.push_back(x(p.x)), ys.push_back(y(p.y));
    canvas_.path(xs, ys, closed, attributes);
  }

  void text(const PointF& p, const std::string& text) {
    const double at_x = std::clamp(x(p.x) + 9, 4.0, canvas_.width() - kLabelWidth_px);
    canvas_.text(at_x, std::clamp(y(p.y) + 5, 16.0, std::max(16.0, height() - 6)), text, Anchor::kStart, kHalo);
  }

  image::Image<std::uint8_t> crop(const image::Image<std::uint8_t>& grey) const {
    if (grey.empty()) return {};
    image::Image<std::uint8_t> part(window_.height, window_.width);
    for (int row = 0; row < window_.height; ++row) {
      std::copy_n(grey.row(window_.top + row) + window_.left, window_.width, part.row(row));
    }
    return part;
  }

  const Measurement& m_;
  Window window_;
  double scale_x_, scale_y_;
  Canvas canvas_;
};

void draw_vessels(PictureDrawing& drawing, const Measurement& m, const Range& range) {
  for (const MeasuredSegment& segment : m.segments) {
    if (has_lesion(segment, m.reference)) drawing.plaque(segment);
  }
  drawing.contours();
  for (const MeasuredSegment& segment : m.segments) drawing.centreline(segment, range);
  for (const MeasuredSegment& segment : m.segments) drawing.excluded_places(segment);
}

std::string lesion_label(const Measurement& m, std::size_t segment) {
  const vessel::Stenosis& s = m.segments[segment].narrowing->against_reference(m.reference);
  return concat(segment + 1, ": ", format_fixed(s.diameter_percent.value, 0), " %");
}

void draw_pixel_axis(Canvas& canvas, const Frame& frame, double per_px) {
  const Scale scale{{frame.y.range.low / per_px, frame.y.range.high / per_px}, frame.bottom, frame.top, false};
  const std::vector<double> ticks = linear_ticks(scale.range, 6);
  const std::vector<std::string> labels = tick_labels(ticks, false);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double y = scale(ticks[i]);
    canvas.line(frame.right, y, frame.right + 4, y, kInkStroke);
    canvas.text(frame.right + 8, y + 4, labels[i], Anchor::kStart, kMutedFill);
  }
  canvas.text(frame.right + 8, frame.top - 6, "px", Anchor::kStart, kMutedFill);
}

void shade_narrowed_part(Canvas& canvas, const Frame& frame, const MeasuredSegment& segment, const Narrowing& n,
                         double per_px, const std::string& fill) {
  const double first = frame.x(segment.samples[n.first].arc_px * per_px);
  const double last = frame.x(segment.samples[n.last].arc_px * per_px);
  canvas.rectangle(first, frame.top, last - first, frame.bottom - frame.top,
                   fill + R"( fill-opacity="0.14" stroke="none")");
}

void draw_reference(Canvas& canvas, const Frame& frame, const Measurement& m, const MeasuredSegment& segment) {
  const double per_px = unit_of(m).per_px;
  const Narrowing& n = *segment.narrowing;
  const vessel::Stenosis& s = n.against_reference(m.reference);
  const double first = segment.samples.front().arc_px, last = segment.samples.back().arc_px;
  if (!std::isfinite(s.reference_px.value) || !std::isfinite(s.line.at(first) + s.line.at(last))) return;
  canvas.line(frame.x(first * per_px), frame.y(s.line.at(first) * per_px), frame.x(last * per_px),
              frame.y(s.line.at(last) * per_px), solid_stroke_of(1) + R"( stroke-width="2" stroke-dasharray="7 4")");
  const double x = frame.x(segment.samples[n.sample].arc_px * per_px);
  const double bottom = frame.y(n.minimal_px.value * per_px), top = frame.y(s.reference_px.value * per_px);
  canvas.line(x, bottom, x, top, kMutedStroke);
  canvas.dot(x, bottom, 4.5, fill_of(1));
  const bool is_right = x > (frame.left + frame.right) / 2;
  canvas.text(is_right ? x - 9 : x + 9, bottom + 4,
              concat(format_fixed(n.minimal_px.value * per_px, unit_of(m).digits), " of ",
                     format_fixed(s.reference_px.value * per_px, unit_of(m).digits), " ", unit_of(m).name, ": ",
                     format_fixed(s.diameter_percent.value, 0), " %"),
              is_right ? Anchor::kEnd : Anchor::kStart, R"(font-weight="600")");
}

void draw_diameters(Canvas& canvas, const Frame& frame, const Measurement& m, const MeasuredSegment& segment) {
  const double per_px = unit_of(m).per_px;
  for (const auto& [first, last] : runs_of(segment.samples)) {
    std::vector<double> x, y, band_x, band_y;
    for (std::size_t i = first; i <= last; ++i) {
      const Sample& s = segment.samples[i];
      x.push_back(frame.x(s.arc_px * per_px));
      y.push_back(frame.y(s.diameter_px * per_px));
    }
    for (const double side : {-vessel::kTwoSided95, vessel::kTwoSided95}) {
      for (std::size_t k = 0; k <= last - first; ++k) {
        const std::size_t i = side < 0 ? first + k : last - k;
        const Sample& s = segment.samples[i];
        band_x.push_back(frame.x(s.arc_px * per_px));
        band_y.push_back(frame.y(std::max(0.0, s.diameter_px + side * s.sd_px) * per_px));
      }
    }
    canvas.path(band_x, band_y, true, fill_of(0) + R"( fill-opacity="0.16" stroke="none")");
    canvas.path(x, y, false, solid_stroke_of(0) + R"( stroke-width="2" stroke-linejoin="round")");
  }
}

}  // namespace

LengthUnit unit_of(const Measurement& m) {
  return m.calibration.mm_per_px ? LengthUnit{*m.calibration.mm_per_px, "mm", 2} : LengthUnit{};
}

Window window_around_narrowing(const Measurement& m, std::size_t segment) {
  const MeasuredSegment& s = m.segments[segment];
  const double reference_px = s.narrowing->against_reference(m.reference).reference_px.value;
  const double most = std::min(m.height, m.width);  // of a flat picture less than what is the least elsewhere
  const double side =
      std::clamp(std::max(2 * s.narrowing->length_px.value, 12 * reference_px), std::min(24.0, most), most);
  const PointF& middle = s.samples[s.narrowing->sample].centre;
  const auto from = [side](double centre, int size) {
    return static_cast<int>(std::clamp(std::floor(centre - side / 2), 0.0, std::floor(size - side)));
  };
  // Wider than high: the page is.
  const int width = static_cast<int>(side), height = std::max(8, static_cast<int>(0.6 * side));
  const int top = std::clamp(static_cast<int>(middle.y) - height / 2, 0, m.height - std::min(height, m.height));
  return {top, from(middle.x, m.width), std::min(height, m.height), width};
}

std::string vessel_picture(const Measurement& m, const image::Image<std::uint8_t>& grey,
                           std::span<const std::size_t> labelled) {
  PictureDrawing drawing(m, grey, {0, 0, m.height, m.width}, kPictureWidth_px, kBarHeight_px);
  const Range range = diameter_range(m);
  draw_vessels(drawing, m, range);
  for (const std::size_t i : labelled) {
    if (!has_lesion(m.segments[i], m.reference)) drawing.number(m.segments[i], i + 1);
  }
  for (std::size_t i = 0; i < m.segments.size(); ++i) {
    if (has_lesion(m.segments[i], m.reference)) drawing.narrowest_place(m.segments[i], lesion_label(m, i));
  }
  return drawing.finish(range);
}

std::string lesion_picture(const Measurement& m, const image::Image<std::uint8_t>& grey, std::size_t segment) {
  PictureDrawing drawing(m, grey, window_around_narrowing(m, segment), kPlotWidthPx, 0);
  draw_vessels(drawing, m, diameter_range(m));
  drawing.narrowest_place(m.segments[segment], lesion_label(m, segment));
  return drawing.finish();
}

std::string diameter_curve(const Measurement& m, std::size_t segment) {
  const MeasuredSegment& s = m.segments[segment];
  const LengthUnit unit = unit_of(m);
  const Axis x_axis{.label = concat("along the centre line (", unit.name, ")"), .min = 0.0, .max = std::nullopt};
  const Axis y_axis{.label = concat("diameter (", unit.name, ")"), .min = 0.0, .max = std::nullopt};
  std::vector<double> arcs{s.length_px.value * unit.per_px}, diameters;
  for (const Sample& sample : s.samples)
    diameters.push_back((sample.diameter_px + vessel::kTwoSided95 * sample.sd_px) * unit.per_px);
  Canvas canvas(kPictureWidth_px, 270, concat("Segment ", segment + 1));
  Frame frame;
  frame.y.range = range_of(diameters, y_axis, y_tick_count(190));
  frame.left = y_axis_width(frame.y.range, false, true);
  frame.right = canvas.width() - 46;
  frame.top = canvas.content_top() + 8;
  frame.bottom = canvas.height() - 46;
  frame.x = {range_of(arcs, x_axis, 0), frame.left, frame.right, false};
  frame.y = {frame.y.range, frame.bottom, frame.top, false};
  if (s.narrowing) shade_narrowed_part(canvas, frame, s, *s.narrowing, unit.per_px, fill_of(1));
  for (const Narrowing& n : s.excluded) {
    shade_narrowed_part(canvas, frame, s, n, unit.per_px, std::string(kMutedFill));
  }
  draw_y_axis(canvas, frame, y_axis);
  draw_x_axis(canvas, frame, x_axis);
  if (m.calibration.mm_per_px) draw_pixel_axis(canvas, frame, unit.per_px);
  canvas.begin_clip(frame);
  draw_diameters(canvas, frame, m, s);
  if (s.narrowing) draw_reference(canvas, frame, m, s);
  canvas.end_clip();
  return canvas.str();
}

}  // namespace cmunet::report
