// SPDX-License-Identifier: Apache-2.0
// measurements.json.
#include <string>
#include <utility>

#include "cmunet/base/version.h"
#include "cmunet/report/measurement_report.h"

namespace cmunet::report {
namespace {

using vessel::Calibration;
using vessel::Estimate;
using vessel::Interval;
using vessel::MeasuredSegment;
using vessel::Measurement;
using vessel::Narrowing;
using vessel::Reference;
using vessel::Stenosis;

Json interval_json(const Interval& i) { return {{"value", i.value}, {"low", i.low}, {"high", i.high}}; }

Json length_json(const Interval& length_px, const Calibration& calibration) {
  Json json{{"px", interval_json(length_px)}};
  if (const auto mm = vessel::in_mm(length_px, calibration)) json["mm"] = interval_json(*mm);
  return json;
}

Json length_json(const Estimate& length_px, const Calibration& calibration) {
  return length_json(vessel::in_px(length_px), calibration);
}

Json plain_length_json(double px, const Calibration& calibration) {
  Json json{{"px", px}};
  if (calibration.mm_per_px) json["mm"] = px * *calibration.mm_per_px;
  return json;
}

Json point_json(const image::PointF& p) { return {{"y", p.y}, {"x", p.x}}; }

Json narrowing_json(const Narrowing& n, const MeasuredSegment& segment, const Measurement& m) {
  Json json{{"position", point_json(segment.samples[n.sample].centre)},
            {"along", plain_length_json(segment.samples[n.sample].arc_px, m.calibration)},
            {"minimal_diameter", length_json(n.minimal_px, m.calibration)},
            {"lesion_length", length_json(n.length_px, m.calibration)},
            {"lesion_from", plain_length_json(segment.samples[n.first].arc_px, m.calibration)},
            {"lesion_to", plain_length_json(segment.samples[n.last].arc_px, m.calibration)}};
  for (const Reference reference : vessel::kReferences) {
    const Stenosis& s = n.against_reference(reference);
    json["references"][std::string(to_string(reference))] = {
        {"reference_diameter", length_json(s.reference_px, m.calibration)},
        {"diameter_stenosis_percent", interval_json(vessel::in_percent(s.diameter_percent))},
        {"area_stenosis_percent", interval_json(vessel::in_percent(s.area_percent))}};
  }
  return json;
}

Json segment_json(const Measurement& m, std::size_t i) {
  const MeasuredSegment& segment = m.segments[i];
  Json excluded = Json::array();
  for (const Narrowing& n : segment.excluded) {
    Json& json = excluded.emplace_back(narrowing_json(n, segment, m));
    json["reason"] = std::string(to_string(n.touches));
  }
  return {{"id", i + 1},
          {"from", segment.centreline.empty() ? Json() : point_json(segment.centreline.front())},
          {"to", segment.centreline.empty() ? Json() : point_json(segment.centreline.back())},
          {"length", length_json(segment.length_px, m.calibration)},
          {"cross_sections", segment.samples.size()},
          {"mean_diameter", segment.samples.empty() ? Json() : length_json(segment.mean_diameter_px, m.calibration)},
          {"narrowing", segment.narrowing ? narrowing_json(*segment.narrowing, segment, m) : Json()},
          {"is_lesion", has_lesion(segment, m.reference)},
          {"excluded_narrowings", std::move(excluded)}};
}

Json lesions_json(const Measurement& m) {
  const vessel::LesionCount count = m.count_lesions();
  return {{"from_percent", vessel::kLesionPercent},
          {"from_reference_px", vessel::kLesionReference_px},
          {"counted", count.lesions},
          {"excluded", {{"free_end", count.at_free_ends}, {"border", count.at_border}}}};
}

Json walls_json(const Measurement& m) {
  if (!m.walls) return {{"found_in", "mask"}};
  return {{"found_in", "image"},
          {"cross_sections_from_image", m.walls->from_image},
          {"cross_sections_kept", m.walls->kept},
          {"blur_px", m.walls->blur_px},
          {"sharpening", m.walls->sharpening},
          {"vessels_are_bright", m.walls->vessels_are_bright}};
}

Json calibration_json(const Calibration& c) {
  Json json{{"source", std::string(to_string(c.source))}, {"note", c.note}};
  json["mm_per_column"] = c.mm_per_px ? Json(*c.mm_per_px) : Json();
  json["mm_per_row"] = c.mm_per_px ? Json(*c.mm_per_px * c.aspect) : Json();
  json["row_over_column"] = c.aspect;
  json["relative_sd"] = c.mm_per_px ? Json(c.relative_sd) : Json();
  return json;
}

}  // namespace

Json measurement_json(const Measurement& m, const Json& source) {
  Json segments = Json::array(), nodes = Json::array();
  for (std::size_t i = 0; i < m.segments.size(); ++i) segments.push_back(segment_json(m, i));
  for (const vessel::Node& node : m.nodes) {
    nodes.push_back({{"y", node.position.y}, {"x", node.position.x}, {"segments", node.degree}});
  }
  const auto tightest = m.tightest();
  return {{"format", "cmunet-measurement"},
          {"version", 1},
          {"created_by", concat("cmunet ", kVersion)},
          {"disclaimer", kDisclaimer},
          {"source", source},
          {"height", m.height},
          {"width", m.width},
          {"calibration", calibration_json(m.calibration)},
          {"walls", walls_json(m)},
          {"reference", std::string(to_string(m.reference))},
          {"mean_diameter", plain_length_json(m.mean_diameter_px, m.calibration)},
          {"lesions", lesions_json(m)},
          {"tightest_segment", tightest ? Json(*tightest + 1) : Json()},
          {"segments", segments},
          {"nodes", nodes}};
}

}  // namespace cmunet::report
