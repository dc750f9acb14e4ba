// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/measurement_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/report/svg.h"
#include "cmunet/report/text.h"

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

constexpr std::size_t kMaxCurves = 8;
constexpr std::size_t kMaxCloseUps = 4;
constexpr std::string_view kElsewhere = "all are in the picture, the table of segments and profiles.csv.";

std::string range_text(const Interval& i, int digits) {
  return concat(format_fixed(i.low, digits), "–", format_fixed(i.high, digits));
}

std::string reference_name(Reference reference) {
  switch (reference) {
    case Reference::kComputed: return "computed: line fitted outside the narrowed parts";
    case Reference::kInterpolated: return "interpolated: line through the markers";
    case Reference::kMeanLocal: return "mean local: mean at the markers";
  }
  return "";
}

bool is_lesion_at(const Measurement& m, std::size_t segment) { return has_lesion(m.segments[segment], m.reference); }

// Segments with lesions, tightest first, then the longest others; without lesions the tightest narrowing comes first,
// since the page begins with it.
std::vector<std::size_t> main_segments(const Measurement& m) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < m.segments.size(); ++i) {
    if (m.segments[i].narrowing) order.push_back(i);
  }
  const auto rank = [&, tightest = m.tightest()](std::size_t i) {
    if (is_lesion_at(m, i)) return m.segments[i].narrowing->against_reference(m.reference).diameter_percent.value;
    return i == tightest ? 1.0 : 0.0;  // a lesion has more than one percent
  };
  std::ranges::stable_sort(order, std::greater<>(), rank);
  return order;
}

// Narrowings as tight as lesions that are none, for people: "free end: 46 %".
std::string excluded_text(const MeasuredSegment& segment, Reference reference) {
  std::string text;
  for (const Narrowing& n : segment.excluded) {
    if (!is_excluded(n, reference)) continue;
    text += concat(text.empty() ? "" : ", ", n.touches == vessel::VesselEnd::kBorder ? "border" : "free end", ": ",
                   format_fixed(n.against_reference(reference).diameter_percent.value, 0), " %");
  }
  return text;
}

std::string count_text(const Measurement& m) {
  const vessel::LesionCount count = m.count_lesions();
  return concat(count.lesions, " of ", vessel::kLesionPercent, " % or more, surely ", vessel::kLesionPercent / 2,
                " %, in vessels of ", vessel::kLesionReference_px, " px or more; not counted: ", count.at_free_ends,
                " at free ends of vessels, ", count.at_border, " at the border");
}

std::vector<Fact> headline(const Measurement& m) {
  const LengthUnit unit = unit_of(m);
  std::vector<Fact> facts;
  if (const auto i = m.tightest()) {
    const Narrowing& n = *m.segments[*i].narrowing;
    const Stenosis& s = n.against_reference(m.reference);
    const Interval minimal = in_unit(n.minimal_px, m.calibration), reference = in_unit(s.reference_px, m.calibration);
    const Interval length = in_unit(n.length_px, m.calibration), area = vessel::in_percent(s.area_percent);
    const auto with_unit = [&](double value) { return concat(format_fixed(value, unit.digits), " ", unit.name); };
    const auto also_px = [&](double px) {
      return m.calibration.mm_per_px ? concat(format_fixed(px, 1), " px; ") : std::string();
    };
    const bool is_lesion = is_lesion_at(m, *i);
    facts.push_back(
        {is_lesion ? "Tightest diameter stenosis" : "Tightest narrowing (no lesion)",
         concat(format_fixed(s.diameter_percent.value, 0), " %"),
         concat("95 % interval ", range_text(vessel::in_percent(s.diameter_percent), 0), " %, segment ", *i + 1)});
    facts.push_back({"Minimal lumen diameter there", with_unit(minimal.value),
                     concat(also_px(n.minimal_px.value), "95 % interval ", range_text(minimal, unit.digits))});
    facts.push_back({"Reference diameter there", with_unit(reference.value),
                     concat(also_px(s.reference_px.value), "95 % interval ", range_text(reference, unit.digits))});
    if (is_lesion) {
      facts.push_back({"Lesion length", with_unit(length.value),
                       concat(also_px(n.length_px.value), "95 % interval ", range_text(length, unit.digits))});
    }
    facts.push_back({"Area stenosis there", concat(format_fixed(area.value, 0), " %"),
                     concat("of round cross-sections; 95 % interval ", range_text(area, 0), " %")});
  }
  const vessel::LesionCount count = m.count_lesions();
  facts.push_back({"Lesions", concat(count.lesions),
                   concat(vessel::kLesionPercent, " % or more, surely ", vessel::kLesionPercent / 2,
                          " %, in vessels of ", vessel::kLesionReference_px, " px or more; not counted: ",
                          count.at_free_ends, " at free ends of vessels, ", count.at_border, " at the border")});
  facts.push_back({"Mean diameter of the mask",
                   concat(format_fixed(m.mean_diameter_px * unit.per_px, unit.digits), " ", unit.name),
                   "skeleton to contour, as the paper measures"});
  return facts;
}

std::string walls_statement(const Measurement& m) {
  if (!m.walls) return "Walls: where the mask or the probability map has them.";
  return concat("Walls: where the picture's grey values show them, at ", m.walls->from_image, " of ",
                m.walls->from_image + m.walls->kept, " cross-sections; the others kept the mask's.");
}

std::string calibration_statement(const Measurement& m) {
  const Calibration& c = m.calibration;
  if (!c.mm_per_px) {
    return concat("Calibration: ", c.note,
                  ". Diameters in pixels of different pictures do not compare; percentages of "
                  "stenosis need no calibration.");
  }
  const std::string sd = c.relative_sd > 0
                             ? concat("its standard deviation of ", format_fixed(100 * c.relative_sd, 1),
                                      " % is part of every interval in millimetres.")
                             : std::string("taken as exact: the intervals hold the uncertainty of the walls alone.");
  return concat("Calibration: ", c.note, "; ", sd);
}

void add_pictures(Page& html, const Measurement& m, const MeasurementPage& page,
                  const std::vector<std::size_t>& shown) {
  html.heading("Picture");
  html.wide_svg(
      vessel_picture(m, page.grey, shown),
      concat("Centre lines coloured by diameter; places narrower by ", vessel::kLesionPercent,
             " % or more, and surely by half of that, than the reference are crossed by a bar, by a broken one "
             "where they reach an end of the vessel and count as no lesion. Numbers are those of the "
             "segments."));
  const auto lesions = static_cast<std::size_t>(m.count_lesions().lesions);
  if (lesions == 0) return;
  html.subheading("Lesions, close up");
  // Lesions come first, the tightest ones at the front.
  const std::size_t drawn = std::min(lesions, kMaxCloseUps);
  for (const std::size_t i : std::span(shown).first(drawn)) {
    html.svg(lesion_picture(m, page.grey, i), concat("Segment ", i + 1));
  }
  if (lesions > drawn) html.paragraph(concat("The tightest ", drawn, " of ", lesions, " lesions; ", kElsewhere));
}

// @param of  how many segments there are to be shown
void add_curves(Page& html, const Measurement& m, const std::vector<std::size_t>& shown, std::size_t of) {
  if (shown.empty()) return;
  html.heading("Diameter along the segments");
  html.paragraph(
      "Blue: diameter with its 95 % band from the walls. Dashed: reference diameter. Shaded: the part below 95 % of "
      "the computed reference around the narrowest place; grey: one that reaches an end of the vessel and counts as no "
      "lesion. Gaps: bifurcations and places where a cut meets another vessel.");
  for (const std::size_t i : shown) html.wide_svg(diameter_curve(m, i));
  if (of > shown.size()) {
    const auto lesions = static_cast<std::size_t>(m.count_lesions().lesions);  // they come first
    html.paragraph(concat("Curves of ", shown.size(), " of ", of, " segments with a narrowest place; lesions without: ",
                          lesions - std::min(lesions, shown.size()), "; ", kElsewhere));
  }
}

void add_filling(Page& html, const vessel::Opacification& filling) {
  std::vector<double> frames(filling.score.size());
  std::iota(frames.begin(), frames.end(), 1.0);
  const auto best = static_cast<std::size_t>(filling.best_frame);
  LineChart chart;
  chart.x.label = "frame";
  chart.y.label = "filling score";
  chart.series = {{"score", frames, filling.score, {}, {}},
                  {"moving mean", frames, filling.smoothed, {}, {}},
                  {"measured frame", {frames[best]}, {filling.smoothed[best]}, {}, {}}};
  html.heading("Why this frame");
  html.paragraph(concat("Frame ", best + 1,
                        ", where the arteries are filled best: there the moving mean of the score, "
                        "how much tube-like darkness there is beyond the first frames, is highest.",
                        filling.fills ? "" : " But no contrast medium is seen to arrive: the choice is a guess."));
  html.wide_svg(line_chart(chart));
}

// What the cross-section belongs to: "lesion", the reason of an excluded narrowing, or nothing.
std::string role_of(const MeasuredSegment& segment, std::size_t sample, Reference reference) {
  const auto holds = [sample](const Narrowing& n) { return n.first <= sample && sample <= n.last; };
  if (has_lesion(segment, reference) && holds(*segment.narrowing)) return "lesion";
  const auto excluded = std::ranges::find_if(segment.excluded, holds);
  return excluded == segment.excluded.end() ? "" : std::string(to_string(excluded->touches));
}

}  // namespace

Table profile_table(const Measurement& m) {
  const bool has_mm = m.calibration.mm_per_px.has_value();
  std::vector<Table::Column> columns{
      {"segment"},          {"along_px"},     {"centre_y"},  {"centre_x"},    {"left_y"},
      {"left_x"},           {"right_y"},      {"right_x"},   {"diameter_px"}, {"diameter_low_px"},
      {"diameter_high_px"}, {"reference_px"}, {"narrowing"}, {"walls"}};
  if (has_mm) {
    for (const char* title : {"along_mm", "diameter_mm", "diameter_low_mm", "diameter_high_mm", "reference_mm"}) {
      columns.push_back({title});
    }
  }
  Table table(std::move(columns));
  for (std::size_t i = 0; i < m.segments.size(); ++i) {
    const MeasuredSegment& segment = m.segments[i];
    for (std::size_t k = 0; k < segment.samples.size(); ++k) {
      const vessel::Sample& s = segment.samples[k];
      const Interval px = vessel::in_px({s.diameter_px, s.sd_px});
      const double reference_px =
          segment.narrowing ? segment.narrowing->against_reference(m.reference).line.at(s.arc_px) : std::nan("");
      std::vector<Cell> row{static_cast<std::int64_t>(i + 1),
                            s.arc_px,
                            s.centre.y,
                            s.centre.x,
                            s.left.y,
                            s.left.x,
                            s.right.y,
                            s.right.x,
                            px.value,
                            px.low,
                            px.high,
                            reference_px,
                            role_of(segment, k, m.reference),
                            s.is_from_image ? "image" : "mask"};
      if (const auto mm = vessel::in_mm(Estimate{s.diameter_px, s.sd_px}, m.calibration)) {
        const double per_px = *m.calibration.mm_per_px;
        for (const double v : {s.arc_px * per_px, mm->value, mm->low, mm->high, reference_px * per_px}) {
          row.emplace_back(v);
        }
      }
      table.add_row(std::move(row));
    }
  }
  return table;
}

Table segment_table(const Measurement& m) {
  const LengthUnit unit = unit_of(m);
  const auto titled = [&](const char* title) {
    return Table::Column{concat(title, " (", unit.name, ")"), unit.digits};
  };
  Table table({{"segment"},
               titled("length"),
               titled("mean diameter"),
               titled("minimal diameter"),
               {"95 % interval"},
               titled("reference"),
               {"diameter stenosis (%)", 0},
               {"95 % interval (%)"},
               {"area stenosis (%)", 0},
               titled("lesion length"),
               {"95 % interval"},
               {"excluded at an end"}});
  for (std::size_t i = 0; i < m.segments.size(); ++i) {
    const MeasuredSegment& segment = m.segments[i];
    if (segment.samples.empty()) continue;
    std::vector<Cell> row{static_cast<std::int64_t>(i + 1), segment.length_px.value * unit.per_px,
                          segment.mean_diameter_px.value * unit.per_px};
    if (const auto& n = segment.narrowing) {
      const Stenosis& s = n->against_reference(m.reference);
      const Interval minimal = in_unit(n->minimal_px, m.calibration), length = in_unit(n->length_px, m.calibration);
      row.insert(row.end(), {minimal.value, range_text(minimal, unit.digits), s.reference_px.value * unit.per_px,
                             s.diameter_percent.value, range_text(vessel::in_percent(s.diameter_percent), 0),
                             s.area_percent.value, length.value, range_text(length, unit.digits)});
    } else {
      const double none = std::nan("");
      row.insert(row.end(), {none, "–", none, none, "–", none, none, "–"});
    }
    row.emplace_back(excluded_text(segment, m.reference));
    table.add_row(std::move(row));
  }
  return table;
}

Table reference_table(const Measurement& m, std::size_t segment) {
  const LengthUnit unit = unit_of(m);
  const Narrowing& n = *m.segments[segment].narrowing;
  Table table({{"reference diameter (PS3.17 T.4)"},
               {concat("reference (", unit.name, ")"), unit.digits},
               {"95 % interval"},
               {"diameter stenosis (%)", 0},
               {"95 % interval (%)"},
               {"area stenosis (%)", 0},
               {"95 % interval (%)"}});
  for (const Reference reference : vessel::kReferences) {
    const Stenosis& s = n.against_reference(reference);
    const Interval diameter = in_unit(s.reference_px, m.calibration), area = vessel::in_percent(s.area_percent);
    table.add_row({reference_name(reference), diameter.value, range_text(diameter, unit.digits),
                   s.diameter_percent.value, range_text(vessel::in_percent(s.diameter_percent), 0), area.value,
                   range_text(area, 0)});
  }
  return table;
}

std::string measurement_text(const Measurement& m) {
  std::string text = to_text(segment_table(m));
  if (m.segments.empty()) text = "no vessel was found\n";
  return concat(text, "\nlesions: ", count_text(m), "\n", walls_statement(m), "\n", calibration_statement(m), "\n",
                kDisclaimer, "\n");
}

std::string measurement_html(const Measurement& m, const MeasurementPage& page) {
  Page html(page.head);
  html.facts(headline(m));
  html.paragraph(calibration_statement(m));
  html.paragraph(walls_statement(m));
  std::vector<std::size_t> shown = main_segments(m);
  const std::size_t narrowed = shown.size();
  shown.resize(std::min(narrowed, kMaxCurves));
  add_pictures(html, m, page, shown);
  if (const auto tightest = m.tightest()) {
    html.heading(
        concat(is_lesion_at(m, *tightest) ? "Tightest lesion: segment " : "Tightest narrowing (no lesion): segment ",
               *tightest + 1));
    html.table(reference_table(m, *tightest));
  }
  add_curves(html, m, shown, narrowed);
  html.heading("All segments");
  const Table segments = segment_table(m);
  html.paragraph(concat(segments.rows().size(), " of ", m.segments.size(),
                        " segments have a cross-section; the others are too short between bifurcations. Reference: ",
                        reference_name(m.reference), "."));
  html.table(segments, {.caption = "", .sortable = true});
  if (page.filling) add_filling(html, *page.filling);
  html.heading("How to read this");
  html.paragraph(
      "Diameters are distances between the walls at right angles to the centre line, in the plane of the picture: a "
      "vessel that runs towards the detector looks shorter, one that lies off the calibrated plane larger or smaller. "
      "A narrowing that reaches the free end of a vessel, or the border that cuts it off, is no lesion here: contrast "
      "medium and segmentation fade out there, and one side to compare with is missing. "
      "Intervals hold the uncertainty of the walls and, in millimetres, of the calibration. They do not hold the "
      "possibility that the segmentation has missed or invented a vessel: look at the contours.");
  if (page.source.is_object() && !page.source.empty()) {
    html.heading("What was measured");
    html.table(settings_table(page.source));
  }
  return html.str();
}

void write_measurement(const std::filesystem::path& dir, const Measurement& m, const MeasurementPage& page) {
  const std::string html = measurement_html(m, page);
  prepare_output_folder(dir, true);
  write_csv(dir / "profiles.csv", profile_table(m));
  save_json(dir / "measurements.json", measurement_json(m, page.source));
  write_file_atomic(dir / "report.html", html);
}

}  // namespace cmunet::report
