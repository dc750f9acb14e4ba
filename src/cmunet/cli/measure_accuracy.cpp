// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/measure_accuracy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "cmunet/base/log.h"
#include "cmunet/base/random.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/model.h"
#include "cmunet/engine/segmenter.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/report/table.h"
#include "cmunet/report/text.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {
namespace {

using image::Spacing;
using phantom::CentrelinePoint;
using report::Table;
using vessel::Measurement;

constexpr int kPhantoms = 24;
constexpr double kNoisyWall = 0.1;         // share of the pixels along a mask's wall that are wrong
constexpr double kNoisyProbability = 0.1;  // standard deviation of a soft edge's values
constexpr double kMatch_px = 2;            // from a cross-section to the true centre line
constexpr std::array kDiameters_mm{0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0};
constexpr std::array kPercents{20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0};

class Errors {
 public:
  void add(double error, bool is_covered) {
    values_.push_back(error);
    covered_ += is_covered ? 1 : 0;
  }
  double n() const { return static_cast<double>(values_.size()); }
  double bias() const {
    double sum = 0;
    for (const double v : values_) sum += v;
    return sum / n();
  }
  double sd() const {
    double sum = 0;
    for (const double v : values_) sum += (v - bias()) * (v - bias());
    return std::sqrt(sum / (n() - 1));
  }
  double largest() const {
    double largest = 0;
    for (const double v : values_) largest = std::max(largest, std::abs(v));
    return largest;
  }
  double covered_percent() const { return 100 * covered_ / n(); }
  std::string text(int digits) const {
    return values_.empty() ? "–"
                           : concat(report::format_fixed(bias(), digits), " ± ", report::format_fixed(sd(), digits));
  }
  Json json() const {
    return {{"n", values_.size()},
            {"bias", bias()},
            {"sd", sd()},
            {"largest", largest()},
            {"within_interval_percent", covered_percent()}};
  }

 private:
  std::vector<double> values_;
  double covered_ = 0;
};

// How a tube comes to be measured: from which grid, which input, with how much noise.
struct Input {
  const char* name;
  Spacing spacing_mm;
  bool is_soft = false;
  bool is_noisy = false;
};
constexpr std::array<Input, 6> kInputs{{{"mask, 0.2 mm", {0.2, 0.2}},
                                        {"mask, 0.25 × 0.2 mm", {0.25, 0.2}},
                                        {"mask, noisy wall", {0.2, 0.2}, false, true},
                                        {"soft edge, 0.2 mm", {0.2, 0.2}, true},
                                        {"soft edge, 0.3 mm", {0.3, 0.3}, true},
                                        {"soft edge, noisy", {0.2, 0.2}, true, true}}};

struct Shape {
  double bend = 0;   // height of the arc over the length of the chord
  double taper = 1;  // diameter at the end over diameter at the start
  double stenosis_percent = 0;
};

phantom::TubeOptions tube_mm(double diameter_mm, double length_mm, double angle_deg, const Spacing& spacing, int phase,
                             const Shape& shape) {
  const double px = spacing.col_mm, side_mm = 1.2 * length_mm + diameter_mm + 4;
  phantom::TubeOptions o;
  o.height = static_cast<int>(std::ceil(side_mm / spacing.row_mm));
  o.width = static_cast<int>(std::ceil(side_mm / spacing.col_mm));
  o.diameter_px = diameter_mm / px;
  o.end_diameter_px = shape.taper * o.diameter_px;
  o.length_px = length_mm / px;
  o.bend_px = shape.bend * o.length_px;
  o.angle_deg = angle_deg;
  o.stenosis_percent = shape.stenosis_percent;
  o.stenosis_length_px = 10 / px;
  o.offset_y_px = 0.61803 * phase, o.offset_x_px = 0.41421 * phase;
  o.spacing_mm = spacing;
  return o;
}

// Pixels of the mask's border, and of the background along it, are flipped by chance.
image::Mask with_noisy_wall(const image::Mask& mask, Rng& rng) {
  image::Mask noisy = mask;
  for (int y = 1; y + 1 < mask.height(); ++y) {
    for (int x = 1; x + 1 < mask.width(); ++x) {
      const int around = mask.at(y - 1, x) + mask.at(y + 1, x) + mask.at(y, x - 1) + mask.at(y, x + 1);
      const bool is_wall = around != 4 * mask.at(y, x);
      if (is_wall && rng.bernoulli(kNoisyWall)) noisy.at(y, x) = mask.at(y, x) == 0 ? 1 : 0;
    }
  }
  return noisy;
}

image::ImageF with_noise(const image::ImageF& soft, Rng& rng) {
  image::ImageF noisy = soft;
  for (float& p : noisy) p = std::clamp(p + static_cast<float>(kNoisyProbability * rng.normal()), 0.0F, 1.0F);
  return noisy;
}

Measurement measure_tube(const phantom::Tube& tube, const Input& input, Rng& rng) {
  vessel::MeasureOptions options;
  options.calibration = vessel::calibrate_manually(input.spacing_mm);
  if (input.is_soft) return measure_vessels(input.is_noisy ? with_noise(tube.soft, rng) : tube.soft, options);
  return measure_vessels(input.is_noisy ? with_noisy_wall(tube.mask, rng) : tube.mask, options);
}

const CentrelinePoint& nearest(const std::vector<CentrelinePoint>& points, const image::PointF& p, double aspect) {
  const auto distance = [&](const CentrelinePoint& q) { return std::hypot((q.y - p.y) * aspect, q.x - p.x); };
  return *std::ranges::min_element(points, {}, distance);
}

void add_error(const vessel::Sample& s, double truth_mm, const vessel::Calibration& calibration, Errors& errors) {
  const vessel::Interval mm = *vessel::in_mm({s.diameter_px, s.sd_px}, calibration);
  errors.add(mm.value - truth_mm, mm.low <= truth_mm && truth_mm <= mm.high);
}

// Straight, bent and tapered tubes of one diameter at many angles and places on the grid.
Errors tube_errors(const Input& input, double diameter_mm, Rng& rng) {
  Errors errors;
  for (const Shape& shape : {Shape{}, Shape{.bend = 0.25}, Shape{.taper = 0.7}}) {
    for (double angle = 0; angle <= 90; angle += 15) {
      for (int phase = 0; phase < 3; ++phase) {
        const auto tube = make_tube(tube_mm(diameter_mm, 20, angle, input.spacing_mm, phase, shape));
        const Measurement m = measure_tube(tube, input, rng);
        for (const vessel::MeasuredSegment& segment : m.segments) {
          for (const vessel::Sample& s : segment.samples) {
            add_error(s, nearest(tube.points, s.centre, m.calibration.aspect).diameter_mm, m.calibration, errors);
          }
        }
      }
    }
  }
  return errors;
}

// Points of percentage: cosine-shaped stenoses, 10 mm long, of vessels of 3 and 4 mm.
Errors stenosis_errors(const Input& input, double percent, Rng& rng) {
  Errors errors;
  for (const double diameter_mm : {3.0, 4.0}) {
    for (double angle = 0; angle <= 90; angle += 15) {
      for (int phase = 0; phase < 3; ++phase) {
        const auto tube =
            make_tube(tube_mm(diameter_mm, 30, angle, input.spacing_mm, phase, {.stenosis_percent = percent}));
        const Measurement m = measure_tube(tube, input, rng);
        const auto i = m.tightest();
        if (!i) continue;
        const vessel::Estimate& found =
            m.segments[*i].narrowing->against_reference(vessel::Reference::kComputed).diameter_percent;
        errors.add(found.value - percent, std::abs(found.value - percent) <= 1.96 * found.sd);
      }
    }
  }
  return errors;
}

// Largest less smallest mean diameter over all angles, px.
double rotation_spread_px(const Input& input, double diameter_mm, Rng& rng) {
  double lowest = 1e9, highest = 0;
  for (double angle = 0; angle <= 90; angle += 7.5) {
    double sum = 0, n = 0;
    for (int phase = 0; phase < 8; ++phase) {
      const Measurement m =
          measure_tube(make_tube(tube_mm(diameter_mm, 20, angle, input.spacing_mm, phase, {})), input, rng);
      for (const vessel::Sample& s : m.segments.at(0).samples) sum += s.diameter_px, ++n;
    }
    lowest = std::min(lowest, sum / n), highest = std::max(highest, sum / n);
  }
  return highest - lowest;
}

struct Part {
  Table table;
  Json json;
};

Part tube_part(Rng& rng) {
  std::vector<Table::Column> columns{{"diameter (mm)", 1}};
  for (const Input& input : kInputs) columns.push_back({input.name});
  Part part{Table(std::move(columns)), Json::array()};
  for (const double diameter : kDiameters_mm) {
    std::vector<report::Cell> row{diameter};
    Json json{{"diameter_mm", diameter}};
    for (const Input& input : kInputs) {
      const Errors errors = tube_errors(input, diameter, rng);
      row.emplace_back(errors.text(3));
      json[input.name] = errors.json();
    }
    part.table.add_row(std::move(row));
    part.json.push_back(std::move(json));
  }
  return part;
}

Part stenosis_part(Rng& rng) {
  constexpr std::array<Input, 4> kStenosisInputs{{{"mask, 0.1 mm", {0.1, 0.1}},
                                                  {"mask, 0.15 mm", {0.15, 0.15}},
                                                  {"mask, 0.2 mm", {0.2, 0.2}},
                                                  {"soft edge, 0.2 mm", {0.2, 0.2}, true}}};
  std::vector<Table::Column> columns{{"true stenosis (%)", 0}};
  for (const Input& input : kStenosisInputs) columns.push_back({input.name});
  Part part{Table(std::move(columns)), Json::array()};
  for (const double percent : kPercents) {
    std::vector<report::Cell> row{percent};
    Json json{{"percent", percent}};
    for (const Input& input : kStenosisInputs) {
      const Errors errors = stenosis_errors(input, percent, rng);
      row.emplace_back(concat(errors.text(1), " (", report::format_fixed(errors.largest(), 1), ")"));
      json[input.name] = errors.json();
    }
    part.table.add_row(std::move(row));
    part.json.push_back(std::move(json));
  }
  return part;
}

Part rotation_part(Rng& rng) {
  Part part{Table({{"diameter (mm)", 1}, {kInputs[0].name, 3}, {kInputs[3].name, 3}}), Json::array()};
  for (const double diameter : {1.0, 2.0, 4.0}) {
    const double mask = rotation_spread_px(kInputs[0], diameter, rng),
                 soft = rotation_spread_px(kInputs[3], diameter, rng);
    part.table.add_row({diameter, mask, soft});
    part.json.push_back({{"diameter_mm", diameter}, {"mask_px", mask}, {"soft_px", soft}});
  }
  return part;
}

// Of one way to find the vessels of the phantoms.
struct TreeErrors {
  static constexpr std::array kBins_mm{0.5, 1.0, 1.5, 2.0, 3.0, 5.0};
  std::array<Errors, kBins_mm.size() - 1> diameters;  // mm, by true diameter
  Errors all, stenoses;                               // mm; points
  int stenoses_made = 0;
  double cross_sections = 0, matched = 0;

  void add(const phantom::Phantom& p, const Measurement& m,
           const std::function<Measurement(const vessel::MeasureOptions&)>& measure);
};

void TreeErrors::add(const phantom::Phantom& p, const Measurement& m,
                     const std::function<Measurement(const vessel::MeasureOptions&)>& measure) {
  std::vector<CentrelinePoint> truth;
  for (const phantom::Branch& b : p.branches) truth.insert(truth.end(), b.points.begin(), b.points.end());
  for (const vessel::MeasuredSegment& segment : m.segments) {
    for (const vessel::Sample& s : segment.samples) {
      const CentrelinePoint& t = nearest(truth, s.centre, 1);
      ++cross_sections;
      if (std::hypot(t.y - s.centre.y, t.x - s.centre.x) > kMatch_px) continue;
      ++matched;
      add_error(s, t.diameter_mm, m.calibration, all);
      for (std::size_t b = 0; b < diameters.size(); ++b) {
        if (t.diameter_mm >= kBins_mm[b] && t.diameter_mm < kBins_mm[b + 1]) {
          add_error(s, t.diameter_mm, m.calibration, diameters[b]);
        }
      }
    }
  }
  // As a reader marks a lesion: a path from the beginning of its branch to the end.
  for (const phantom::Stenosis& stenosis : p.stenoses) {
    ++stenoses_made;
    const std::vector<CentrelinePoint>& points = p.branches[static_cast<std::size_t>(stenosis.branch)].points;
    vessel::MeasureOptions options;
    options.calibration = m.calibration;
    options.path = vessel::PathEnds{{points.front().y, points.front().x}, {points.back().y, points.back().x}};
    try {
      const vessel::MeasuredSegment path = measure(options).segments.at(0);
      if (!path.narrowing) continue;
      const image::PointF& at = path.samples[path.narrowing->sample].centre;
      const double reach_px = stenosis.length_mm / 2 / *m.calibration.mm_per_px;
      if (std::hypot(at.y - stenosis.y, at.x - stenosis.x) > reach_px) continue;  // it found another place
      const vessel::Estimate& found = path.narrowing->against_reference(vessel::Reference::kComputed).diameter_percent;
      const double error = found.value - stenosis.percent;
      stenoses.add(error, std::abs(error) <= 1.96 * found.sd);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kNotFound) throw;  // the vessel is interrupted
    }
  }
}

template <typename Vessels>
void measure_phantom(const phantom::Phantom& p, const Vessels& vessels, TreeErrors& errors) {
  const auto measure = [&](const vessel::MeasureOptions& options) { return measure_vessels(vessels, options); };
  vessel::MeasureOptions options;
  options.calibration = vessel::calibrate_manually(p.spacing_mm);
  errors.add(p, measure(options), measure);
}

Json json_of(const TreeErrors& e) {
  Json json{{"all", e.all.json()}, {"matched_percent", 100 * e.matched / e.cross_sections}};
  for (std::size_t b = 0; b < e.diameters.size(); ++b) {
    json["diameters"].push_back({{"from_mm", TreeErrors::kBins_mm[b]}, {"errors", e.diameters[b].json()}});
  }
  json["stenoses"] = {{"made", e.stenoses_made}, {"errors_points", e.stenoses.json()}};
  return json;
}

Part phantom_part(const std::string& model_path, const CommonOptions& common) {
  const std::string path = model_path.empty() ? default_model() : model_path;
  const Model model = open_model(path, common);
  const engine::Segmenter segmenter(model.engine, preprocess::options_from_json(model.info.preprocessing, path));
  TreeErrors exact, found;
  phantom::Options options;
  options.stenosis = true;
  for (int i = 0; i < kPhantoms; ++i) {
    const phantom::Phantom p = make_phantom(options, Rng(common.seed).fork(static_cast<std::uint64_t>(i)).next());
    image::ImageF grey(p.image.height(), p.image.width());
    std::copy(p.image.begin(), p.image.end(), grey.begin());
    measure_phantom(p, p.mask, exact);
    measure_phantom(p, segmenter.segment(grey).probability, found);
    log_info("phantom ", i + 1, " of ", kPhantoms);
  }
  Part part{Table({{"true diameter (mm)"}, {"exact masks"}, {"n", 0}, {"model"}, {"n", 0}}), {}};
  const auto add_row = [&](const std::string& name, const Errors& a, const Errors& b, int digits) {
    part.table.add_row({name, a.text(digits), a.n(), b.text(digits), b.n()});
  };
  for (std::size_t b = 0; b < exact.diameters.size(); ++b) {
    add_row(concat(TreeErrors::kBins_mm[b], " to ", TreeErrors::kBins_mm[b + 1]), exact.diameters[b],
            found.diameters[b], 2);
  }
  add_row("all", exact.all, found.all, 2);
  const auto percents = [&](const char* name, double a, double b) {
    part.table.add_row({name, report::format_fixed(a, 0), exact.all.n(), report::format_fixed(b, 0), found.all.n()});
  };
  percents("95 % interval holds the truth (%)", exact.all.covered_percent(), found.all.covered_percent());
  percents("cross-sections on a true vessel (%)", 100 * exact.matched / exact.cross_sections,
           100 * found.matched / found.cross_sections);
  add_row(concat("stenoses found, of ", exact.stenoses_made, " (points)"), exact.stenoses, found.stenoses, 1);
  part.json = {{"phantoms", kPhantoms},
               {"size", options.size},
               {"spacing_mm", options.field_mm / options.size},
               {"exact_masks", json_of(exact)},
               {"model", json_of(found)}};
  return part;
}

}  // namespace

void report_accuracy(const std::string& model, const CommonOptions& common) {
  Rng rng(common.seed);
  const Part tubes = tube_part(rng), stenoses = stenosis_part(rng), rotation = rotation_part(rng);
  const Part phantoms = phantom_part(model, common);
  const Json document{{"disclaimer", kDisclaimer}, {"seed", common.seed},       {"tubes", tubes.json},
                      {"stenoses", stenoses.json}, {"rotation", rotation.json}, {"phantoms", phantoms.json}};
  print_result(
      common, document,
      concat("Diameters of tubes: error (mm), mean ± standard deviation over straight, bent and tapered tubes at "
             "0 to 90°\n\n",
             to_markdown(tubes.table),
             "\nDiameter stenoses of tubes: error (points), mean ± standard deviation (largest)\n\n",
             to_markdown(stenoses.table), "\nLargest difference of the mean diameter between directions (px)\n\n",
             to_markdown(rotation.table), "\nTrees of ", kPhantoms,
             " phantom angiograms: error (mm), mean ± standard deviation\n\n", to_markdown(phantoms.table), "\n",
             kDisclaimer, "\n"));
}

}  // namespace cmunet::cli
