// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/measure.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cmunet/vessel/diameter.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

double inscribed_at(const Lumen& lumen, const PointF& p) {
  const int y = std::clamp(static_cast<int>(std::lround(p.y)), 0, lumen.mask.height() - 1);
  const int x = std::clamp(static_cast<int>(std::lround(p.x)), 0, lumen.mask.width() - 1);
  return double{lumen.inscribed.at(y, x)};
}

// Around a bifurcation the disc that touches all of its walls; a pixel more, for the grid.
Exclusion exclusion_at(const Lumen& lumen, const Node& bifurcation) {
  return {bifurcation.position, inscribed_at(lumen, bifurcation.position) + 1};
}

// Where the line of a vessel begins or ends.
struct LineEnd {
  enum class Kind { kFree, kBifurcation, kChosen };  // kChosen: by a user
  PointF position;
  Kind kind = Kind::kFree;
  bool is_free() const { return kind == Kind::kFree; }
};

// How well the place of an end is known, px. A line goes on for up to a radius into the round end of a vessel, or into
// a corner of a ragged one. For bifurcations a share of the radius that tubes with two side branches gave; for a place
// that a user chose half a pixel.
double place_sd_px(const Lumen& lumen, const LineEnd& end, double radius_px) {
  constexpr double kOfBifurcation = 0.25, kOfChoice_px = 0.5;
  switch (end.kind) {
    case LineEnd::Kind::kFree: return radius_px;
    case LineEnd::Kind::kBifurcation: return kOfBifurcation * inscribed_at(lumen, end.position);
    case LineEnd::Kind::kChosen: break;
  }
  return kOfChoice_px;
}

// A centre line ends up to half a width before the border that cuts its vessel off.
VesselEnd kind_of(const LineEnd& end, const Lumen& lumen, double width_px) {
  if (!end.is_free()) return VesselEnd::kContinues;
  const int reach = static_cast<int>(std::ceil((std::isnan(width_px) ? 0 : width_px / 2) + 1));
  const int y = static_cast<int>(std::lround(end.position.y)), x = static_cast<int>(std::lround(end.position.x));
  for (int dy = -reach; dy <= reach; ++dy) {
    for (int dx = -reach; dx <= reach; ++dx) {
      if (std::hypot(dy, dx) <= reach && !lumen.is_seen(y + dy, x + dx)) return VesselEnd::kBorder;
    }
  }
  return VesselEnd::kFree;
}

double length_px(const std::vector<PointF>& line, double aspect) {
  double length = 0;
  for (std::size_t i = 1; i < line.size(); ++i) {
    length += std::hypot((line[i].y - line[i - 1].y) * aspect, line[i].x - line[i - 1].x);
  }
  return length;
}

// A vessel to be cut: its line from node to node, and where diameters mean nothing.
struct Course {
  std::vector<PointF> line;
  LineEnd start, end;
  std::vector<Exclusion> excluded;
};

MeasuredSegment cut(const Lumen& lumen, const Course& course, double aspect) {
  const auto& [line, start, end, at_nodes] = course;
  const double radius_px = inscribed_at(lumen, line[line.size() / 2]);
  // Around a free end, where a vessel is round or thinning has led the line into a corner.
  std::vector<Exclusion> excluded = at_nodes;
  if (start.is_free()) excluded.push_back({line.front(), 1.5 * radius_px + 1});
  if (end.is_free()) excluded.push_back({line.back(), 1.5 * radius_px + 1});
  MeasuredSegment result;
  result.centreline = centred_line(lumen, line, aspect);
  result.length_px = {length_px(result.centreline, aspect),
                      std::hypot(place_sd_px(lumen, start, radius_px), place_sd_px(lumen, end, radius_px))};
  result.samples = measure_diameters(lumen, result.centreline, excluded, aspect);
  const double width_px = mean_diameter(result.samples).value;
  result.start = kind_of(start, lumen, width_px);
  result.end = kind_of(end, lumen, width_px);
  return result;
}

// The path, or every segment of the tree.
std::vector<Course> courses(const Lumen& lumen, const Tree& tree, const std::optional<PathEnds>& ends) {
  std::vector<Exclusion> at_node;
  for (const Node& node : tree.nodes) at_node.push_back(exclusion_at(lumen, node));
  std::vector<Course> result;
  if (ends) {
    Path path = find_path(tree, ends->from, ends->to);
    const auto end_of = [&](const PointF& p) {
      const bool is_free =
          std::ranges::any_of(tree.nodes, [&p](const Node& n) { return n.degree == 1 && n.position == p; });
      return LineEnd{p, is_free ? LineEnd::Kind::kFree : LineEnd::Kind::kChosen};
    };
    Course& course =
        result.emplace_back(Course{path.points, end_of(path.points.front()), end_of(path.points.back()), {}});
    for (const int node : path.nodes) course.excluded.push_back(at_node[static_cast<std::size_t>(node)]);
    return result;
  }
  for (const Segment& segment : tree.segments) {
    const auto from = static_cast<std::size_t>(segment.from), to = static_cast<std::size_t>(segment.to);
    const auto end_of = [&](std::size_t node) {
      const bool is_free = tree.nodes[node].degree == 1;
      return LineEnd{tree.nodes[node].position, is_free ? LineEnd::Kind::kFree : LineEnd::Kind::kBifurcation};
    };
    Course& course = result.emplace_back(Course{segment.points, end_of(from), end_of(to), {}});
    for (const std::size_t node : {from, to}) {
      if (tree.nodes[node].degree > 1) course.excluded.push_back(at_node[node]);
    }
  }
  return result;
}

void look_for_narrowings(MeasuredSegment& segment, const std::vector<double>& markers) {
  Narrowings found = find_narrowings(segment.samples, {.start = segment.start, .end = segment.end, .markers = markers});
  segment.narrowing = found.narrowest;
  segment.excluded = std::move(found.at_ends);
  segment.mean_diameter_px = mean_diameter(whole_part(segment.samples, segment.excluded));
}

// Moves the walls of all segments to where the picture shows them.
WallSearch refine(std::vector<MeasuredSegment>& segments, const Lumen& lumen, const MeasureOptions& options) {
  std::vector<std::vector<Sample>> samples;
  for (MeasuredSegment& segment : segments) samples.push_back(std::move(segment.samples));
  const WallSearch walls = find_walls(options.angiogram, lumen, samples, options.calibration.aspect);
  for (std::size_t i = 0; i < segments.size(); ++i) segments[i].samples = std::move(samples[i]);
  return walls;
}

Measurement measure(Lumen lumen, const MeasureOptions& options) {
  const double aspect = options.calibration.aspect;
  if (!options.field.empty()) image::check_same_size(lumen.mask, options.field, "measure");
  lumen.field = options.field;
  CMUNET_CHECK(aspect >= 1 / kMaxAspect && aspect <= kMaxAspect, ErrorCode::kInvalidArgument, "[measure] a row is ",
               aspect, " times as high as a column is wide; expected ", 1 / kMaxAspect, "…", kMaxAspect);
  Measurement result;
  result.calibration = options.calibration;
  result.reference = options.reference;
  result.height = lumen.mask.height(), result.width = lumen.mask.width();
  result.mask = lumen.mask;
  result.contours = contours_of(lumen);
  result.mean_diameter_px = mean_diameter_px(lumen.mask, aspect);
  const Tree tree = trace_centrelines(lumen);
  result.nodes = tree.nodes;
  for (const Course& course : courses(lumen, tree, options.path)) result.segments.push_back(cut(lumen, course, aspect));
  if (!options.angiogram.grey.empty()) result.walls = refine(result.segments, lumen, options);
  for (MeasuredSegment& segment : result.segments) look_for_narrowings(segment, options.markers);
  if (!options.path) {
    std::ranges::stable_sort(result.segments, std::greater<>(),
                             [](const MeasuredSegment& s) { return s.length_px.value; });
  }
  return result;
}

}  // namespace

std::optional<std::size_t> Measurement::tightest() const {
  std::optional<std::size_t> found;
  std::pair<bool, double> highest;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!segments[i].narrowing) continue;
    const double percent = segments[i].narrowing->against_reference(reference).diameter_percent.value;
    if (std::isnan(percent)) continue;  // no reference
    const std::pair<bool, double> rank{has_lesion(segments[i], reference), percent};
    if (!found || rank > highest) found = i, highest = rank;
  }
  return found;
}

LesionCount Measurement::count_lesions() const {
  LesionCount count;
  for (const MeasuredSegment& segment : segments) {
    count.lesions += has_lesion(segment, reference) ? 1 : 0;
    for (const Narrowing& narrowing : segment.excluded) {
      if (!is_excluded(narrowing, reference)) continue;
      ++(narrowing.touches == VesselEnd::kBorder ? count.at_border : count.at_free_ends);
    }
  }
  return count;
}

bool is_lesion(const Narrowing& narrowing, Reference reference) {
  const Stenosis& stenosis = narrowing.against_reference(reference);
  const Interval percent = in_percent(stenosis.diameter_percent);
  return narrowing.touches == VesselEnd::kContinues && percent.value >= kLesionPercent &&
         percent.low >= kLesionPercent / 2 && stenosis.reference_px.value >= kLesionReference_px;
}

bool is_excluded(const Narrowing& narrowing, Reference reference) {
  const Stenosis& stenosis = narrowing.against_reference(reference);
  return narrowing.touches != VesselEnd::kContinues && stenosis.diameter_percent.value >= kLesionPercent &&
         stenosis.reference_px.value >= kLesionReference_px;
}

bool has_lesion(const MeasuredSegment& segment, Reference reference) {
  return segment.narrowing && is_lesion(*segment.narrowing, reference);
}

Measurement measure_vessels(const image::Mask& mask, const MeasureOptions& options) {
  return measure(lumen_of(mask), options);
}

Measurement measure_vessels(const image::ImageF& probability, const MeasureOptions& options) {
  return measure(lumen_of(probability), options);
}

Interval in_px(const Estimate& length_px) {
  const double half = kTwoSided95 * length_px.sd;
  return {length_px.value, std::max(0.0, length_px.value - half), length_px.value + half};
}

Interval in_percent(const Estimate& percent) {
  if (std::isnan(percent.value)) return {percent.value, percent.value, percent.value};
  const double half = kTwoSided95 * percent.sd;
  return {percent.value, std::max(std::min(0.0, percent.value), percent.value - half),
          std::min(100.0, percent.value + half)};
}

std::optional<Interval> in_mm(const Estimate& length_px, const Calibration& calibration) {
  return in_mm(in_px(length_px), calibration);
}

std::optional<Interval> in_mm(const Interval& length_px, const Calibration& calibration) {
  if (!calibration.mm_per_px) return std::nullopt;
  const double mm = *calibration.mm_per_px, value = mm * length_px.value;
  const double of_calibration = kTwoSided95 * calibration.relative_sd * value;
  return Interval{value, std::max(0.0, value - std::hypot(mm * (length_px.value - length_px.low), of_calibration)),
                  value + std::hypot(mm * (length_px.high - length_px.value), of_calibration)};
}

Interval in_unit(const Interval& length_px, const Calibration& calibration) {
  return in_mm(length_px, calibration).value_or(length_px);
}

Interval in_unit(const Estimate& length_px, const Calibration& calibration) {
  return in_unit(in_px(length_px), calibration);
}

}  // namespace cmunet::vessel
