// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/measure_accuracy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/measure_phantoms.h"
#include "cmunet/cli/measurement_errors.h"
#include "cmunet/phantom/phantom.h"
#include "cmunet/report/table.h"
#include "cmunet/report/text.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {
namespace {

using image::Spacing;
using phantom::tube_mm;
using phantom::TubeShape;
using report::Table;
using vessel::Measurement;

constexpr double kNoisyWall = 0.1;         // share of the pixels along a mask's wall that are wrong
constexpr double kNoisyProbability = 0.1;  // standard deviation of a soft edge's values
constexpr std::array kDiameters_mm{0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0};
constexpr std::array kPercents{20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0};

// What the walls of a tube are read from.
enum class Source {
  kMask,
  kSoftEdge,
  kPicture,           // X-rayed with noise, around the exact mask
  kNoiselessPicture,  // the same with as many quanta as it takes
  kPictureRough,      // with noise, around the mask of a tube half a millimetre wider with half the stenosis
};

// How a tube comes to be measured: from which grid, which input, with how much noise.
struct Input {
  const char* name;
  Spacing spacing_mm;
  Source source = Source::kMask;
  bool is_noisy = false;

  // Pictures take longest; fewer of them tell enough.
  bool has_picture() const { return source != Source::kMask && source != Source::kSoftEdge; }
  double angle_step() const { return has_picture() ? 30 : 15; }
  int phases() const { return has_picture() ? 1 : 3; }
};
constexpr std::array<Input, 8> kInputs{{{"mask, 0.2 mm", {0.2, 0.2}},
                                        {"mask, 0.25 × 0.2 mm", {0.25, 0.2}},
                                        {"mask, noisy wall", {0.2, 0.2}, Source::kMask, true},
                                        {"soft edge, 0.2 mm", {0.2, 0.2}, Source::kSoftEdge},
                                        {"soft edge, 0.3 mm", {0.3, 0.3}, Source::kSoftEdge},
                                        {"soft edge, noisy", {0.2, 0.2}, Source::kSoftEdge, true},
                                        {"picture, 0.2 mm", {0.2, 0.2}, Source::kPicture},
                                        {"picture, rough mask", {0.2, 0.2}, Source::kPictureRough}}};

// One stream for each, so that a change in one leaves the others alone.
struct Chance {
  Rng masks, pictures;
};

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

Measurement measure_tube(const phantom::TubeOptions& shape, const phantom::Tube& tube, const Input& input,
                         Chance& chance) {
  vessel::MeasureOptions options;
  options.calibration = vessel::calibrate_manually(input.spacing_mm);
  if (input.source == Source::kSoftEdge) {
    return measure_vessels(input.is_noisy ? with_noise(tube.soft, chance.masks) : tube.soft, options);
  }
  if (input.has_picture()) {
    phantom::TubeExposure exposure;
    if (input.source == Source::kNoiselessPicture) exposure.photons = 0;
    const image::Image<std::uint8_t> picture = phantom::expose_tubes(chords_mm(tube), exposure, chance.pictures);
    options.angiogram.grey = image::ImageF(picture.height(), picture.width());
    std::copy(picture.begin(), picture.end(), options.angiogram.grey.begin());
  }
  if (input.source == Source::kPictureRough) return measure_vessels(rough_mask(shape), options);
  return measure_vessels(input.is_noisy ? with_noisy_wall(tube.mask, chance.masks) : tube.mask, options);
}

// Straight, bent and tapered tubes of one diameter at many angles and places on the grid.
MeasurementErrors tube_errors(const Input& input, double diameter_mm, Chance& chance) {
  MeasurementErrors errors;
  for (const TubeShape& shape : {TubeShape{}, TubeShape{.bend = 0.25}, TubeShape{.taper = 0.7}}) {
    for (double angle = 0; angle <= 90; angle += input.angle_step()) {
      for (int phase = 0; phase < input.phases(); ++phase) {
        const phantom::TubeOptions made = tube_mm(diameter_mm, 20, angle, input.spacing_mm, phase, shape);
        const phantom::Tube tube = make_tube(made);
        const Measurement m = measure_tube(made, tube, input, chance);
        for (const vessel::MeasuredSegment& segment : m.segments) {
          for (const vessel::Sample& s : segment.samples) {
            errors.add(s, nearest_point(tube.points, s.centre, m.calibration.aspect).diameter_mm, m.calibration);
          }
        }
      }
    }
  }
  return errors;
}

// Of cosine-shaped stenoses, 10 mm long, of vessels of 3 and 4 mm.
struct StenosisErrors {
  MeasurementErrors percent;    // points
  MeasurementErrors length_mm;  // of what is narrower than 95 % of the vessel
};

StenosisErrors stenosis_errors(const Input& input, double percent, Chance& chance) {
  StenosisErrors errors;
  for (const double diameter_mm : {3.0, 4.0}) {
    for (double angle = 0; angle <= 90; angle += input.angle_step()) {
      for (int phase = 0; phase < input.phases(); ++phase) {
        const phantom::TubeOptions made =
            tube_mm(diameter_mm, 30, angle, input.spacing_mm, phase, {.stenosis_percent = percent});
        const phantom::Tube tube = make_tube(made);
        const Measurement m = measure_tube(made, tube, input, chance);
        const auto i = m.tightest();
        if (!i) {
          errors.percent.add_missed(), errors.length_mm.add_missed();
          continue;
        }
        const vessel::Narrowing& found = *m.segments[*i].narrowing;
        errors.percent.add(found.against_reference(vessel::Reference::kComputed).diameter_percent, percent);
        errors.length_mm.add(found.length_px, narrowed_length_mm(tube, 0.95), m.calibration);
      }
    }
  }
  return errors;
}

// Millimetres between two bifurcations of a vessel, 12 mm apart.
MeasurementErrors segment_errors(const Input& input, double diameter_mm, Chance& chance) {
  MeasurementErrors errors;
  for (const double side_mm : {1.5, 2.5}) {
    for (const double side_angle : {40.0, 60.0, 90.0}) {
      for (double angle = 0; angle < 180; angle += 15) {
        for (const bool is_one_side : {true, false}) {
          const phantom::BranchedTube shape{.diameter_mm = diameter_mm,
                                            .side_mm = side_mm,
                                            .angle_deg = angle,
                                            .side_angle_deg = side_angle,
                                            .is_one_side = is_one_side,
                                            .spacing_mm = input.spacing_mm.col_mm};
          const image::Mask mask = branched_mask(shape);
          vessel::MeasureOptions options;
          options.calibration = vessel::calibrate_manually(input.spacing_mm);
          const Measurement m = measure_vessels(input.is_noisy ? with_noisy_wall(mask, chance.masks) : mask, options);
          const auto found = std::ranges::find_if(m.segments, [](const vessel::MeasuredSegment& s) {
            return s.start == vessel::VesselEnd::kContinues && s.end == vessel::VesselEnd::kContinues;
          });
          if (found == m.segments.end()) {
            errors.add_missed();
            continue;
          }
          errors.add(in_px(found->length_px), shape.between_mm, m.calibration);
        }
      }
    }
  }
  return errors;
}

// Largest less smallest mean diameter over all angles, px.
double rotation_spread_px(const Input& input, double diameter_mm, Chance& chance) {
  double lowest = 1e9, highest = 0;
  for (double angle = 0; angle <= 90; angle += 7.5) {
    double sum = 0, n = 0;
    for (int phase = 0; phase < 8; ++phase) {
      const phantom::TubeOptions made = tube_mm(diameter_mm, 20, angle, input.spacing_mm, phase);
      const Measurement m = measure_tube(made, make_tube(made), input, chance);
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

// One row for each value, one column for each input; `measure` gives the cell and the JSON of an input and a value.
template <typename Measure>
Part part_of(const Table::Column& first, const char* key, std::span<const double> values, std::span<const Input> inputs,
             const Measure& measure) {
  std::vector<Table::Column> columns{first};
  for (const Input& input : inputs) columns.push_back({input.name});
  Part part{Table(std::move(columns)), Json::array()};
  for (const double value : values) {
    std::vector<report::Cell> row{value};
    Json json{{key, value}};
    for (const Input& input : inputs) {
      const std::pair<report::Cell, Json> found = measure(input, value);
      row.push_back(found.first);
      json[input.name] = found.second;
    }
    part.table.add_row(std::move(row));
    part.json.push_back(std::move(json));
  }
  return part;
}

Part tube_part(Chance& chance) {
  return part_of({"diameter (mm)", 1}, "diameter_mm", kDiameters_mm, kInputs, [&](const Input& input, double diameter) {
    const MeasurementErrors errors = tube_errors(input, diameter, chance);
    return std::pair<report::Cell, Json>(errors.text(3), errors.json());
  });
}

// A length's error, how often its interval holds the truth, half of the interval's width, and how many were missed.
std::pair<report::Cell, Json> length_cell(const MeasurementErrors& errors) {
  const std::string held = report::format_fixed(errors.covered_percent(), 0);
  const std::string half_width = report::format_fixed(errors.median_half_width(), 1);
  return {concat(errors.text(2), " (", held, " %, ± ", half_width, ")", errors.missed_text()), errors.json()};
}

// Percentages and lengths.
std::pair<Part, Part> stenosis_part(Chance& chance) {
  constexpr std::array<Input, 8> kStenosisInputs{{{"mask, 0.1 mm", {0.1, 0.1}},
                                                  {"mask, 0.15 mm", {0.15, 0.15}},
                                                  {"mask, 0.2 mm", {0.2, 0.2}},
                                                  {"mask, noisy wall", {0.2, 0.2}, Source::kMask, true},
                                                  {"soft edge, 0.2 mm", {0.2, 0.2}, Source::kSoftEdge},
                                                  {"soft edge, noisy", {0.2, 0.2}, Source::kSoftEdge, true},
                                                  {"picture, 0.2 mm", {0.2, 0.2}, Source::kPicture},
                                                  {"picture, rough mask", {0.2, 0.2}, Source::kPictureRough}}};
  std::map<std::pair<std::string, double>, MeasurementErrors> lengths;
  const Table::Column percents{"true stenosis (%)", 0};
  Part stenoses = part_of(percents, "percent", kPercents, kStenosisInputs, [&](const Input& input, double percent) {
    const StenosisErrors errors = stenosis_errors(input, percent, chance);
    lengths[{input.name, percent}] = errors.length_mm;
    const std::string largest = report::format_fixed(errors.percent.largest(), 1);
    return std::pair<report::Cell, Json>(
        concat(errors.percent.text(1), " (", largest, ")", errors.percent.missed_text()), errors.percent.json());
  });
  Part of_lengths = part_of(percents, "percent", kPercents, kStenosisInputs, [&](const Input& input, double percent) {
    return length_cell(lengths.at({input.name, percent}));
  });
  return {std::move(stenoses), std::move(of_lengths)};
}

Part segment_part(Chance& chance) {
  constexpr std::array kSegmentDiameters_mm{2.0, 3.0, 4.0};
  constexpr std::array<Input, 2> kSegmentInputs{
      {{"mask, 0.2 mm", {0.2, 0.2}}, {"mask, noisy wall", {0.2, 0.2}, Source::kMask, true}}};
  return part_of(
      {"diameter (mm)", 1}, "diameter_mm", kSegmentDiameters_mm, kSegmentInputs,
      [&](const Input& input, double diameter) { return length_cell(segment_errors(input, diameter, chance)); });
}

Part rotation_part(Chance& chance) {
  constexpr std::array kRotationDiameters_mm{1.0, 2.0, 4.0};
  constexpr std::array<Input, 3> kRotationInputs{{{"mask, 0.2 mm", {0.2, 0.2}},
                                                  {"soft edge, 0.2 mm", {0.2, 0.2}, Source::kSoftEdge},
                                                  {"picture without noise", {0.2, 0.2}, Source::kNoiselessPicture}}};
  return part_of({"diameter (mm)", 1}, "diameter_mm", kRotationDiameters_mm, kRotationInputs,
                 [&](const Input& input, double diameter) {
                   const double spread_px = rotation_spread_px(input, diameter, chance);
                   return std::pair<report::Cell, Json>(spread_px, spread_px);
                 });
}

}  // namespace

void report_accuracy(const std::string& model, const CommonOptions& common) {
  Chance chance{Rng(common.seed), Rng(common.seed).fork(1)};
  const Part tubes = tube_part(chance);
  const auto [stenoses, lengths] = stenosis_part(chance);
  const Part rotation = rotation_part(chance), segments = segment_part(chance);
  const PhantomAccuracy phantoms = measure_phantoms(model, common);
  const Json document{{"disclaimer", kDisclaimer},
                      {"seed", common.seed},
                      {"tubes", tubes.json},
                      {"stenoses", stenoses.json},
                      {"lesion_lengths", lengths.json},
                      {"rotation", rotation.json},
                      {"segment_lengths", segments.json},
                      {"phantoms", phantoms.json}};
  print_result(
      common, document,
      concat("Diameters of tubes: error (mm), mean ± standard deviation over straight, bent and tapered tubes at "
             "0 to 90°\n\n",
             to_markdown(tubes.table),
             "\nDiameter stenoses of tubes: error (points), mean ± standard deviation (largest); how many were not "
             "found\n\n",
             to_markdown(stenoses.table),
             "\nTheir lesion lengths: error (mm), mean ± standard deviation (how often the interval holds the truth, ± "
             "half its width in the median)\n\n",
             to_markdown(lengths.table), "\nLengths between two bifurcations, 12 mm apart: error (mm), likewise\n\n",
             to_markdown(segments.table), "\nLargest difference of the mean diameter between directions (px)\n\n",
             to_markdown(rotation.table), "\nTrees of ", phantoms.json["phantoms"].get<int>(),
             " phantom angiograms: error (mm), mean ± standard deviation\n\n", to_markdown(phantoms.diameters),
             "\nTheir stenoses: found of those made, and error (points) of those that a path around them found\n\n",
             to_markdown(phantoms.stenoses), "\n", kDisclaimer, "\n"));
}

}  // namespace cmunet::cli
