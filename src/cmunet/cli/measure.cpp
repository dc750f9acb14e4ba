// SPDX-License-Identifier: Apache-2.0
// `cmunet measure`: diameters and stenoses of the vessels in one picture, in pixels or, when calibrated, millimetres.
#include "cmunet/vessel/measure.h"

#include <cmath>
#include <filesystem>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/measure_accuracy.h"
#include "cmunet/cli/measure_input.h"
#include "cmunet/report/measurement_report.h"
#include "cmunet/report/overlay.h"

namespace cmunet::cli {
namespace {

struct Flags {
  MeasureInputFlags picture;
  CalibrationFlags calibration;
  std::vector<double> from, to;
  std::string walls;
  std::string reference = "computed";
  std::vector<double> markers;
  std::string out;
  bool accuracy = false;
};

vessel::MeasureOptions options_of(const Flags& flags, const Picture& picture) {
  CMUNET_CHECK(flags.from.empty() == flags.to.empty(), ErrorCode::kInvalidArgument,
               "[measure] only one of --from and --to; a path has two ends");
  vessel::MeasureOptions options;
  options.calibration = calibrate(flags.calibration, picture);
  for (const vessel::Reference reference : vessel::kReferences) {
    if (flags.reference == to_string(reference)) options.reference = reference;
  }
  CMUNET_CHECK(options.reference != vessel::Reference::kInterpolated || flags.markers.size() != 1,
               ErrorCode::kInvalidArgument,
               "[measure] --reference interpolated with one marker; expected two at least, which give a line");
  options.markers = flags.markers;
  options.field = picture.field;
  CMUNET_CHECK(flags.walls != "image" || !picture.grey.empty(), ErrorCode::kInvalidArgument,
               "[measure] --walls image without a picture; expected one to find them in");
  if (flags.walls != "mask" && !picture.grey.empty()) {
    options.angiogram = {.grey = picture.grey, .is_log = picture.is_log};
  }
  if (!flags.from.empty()) {
    options.path = vessel::PathEnds{{flags.from[0], flags.from[1]}, {flags.to[0], flags.to[1]}};
    check_in_picture(picture, options.path->from, "--from");
    check_in_picture(picture, options.path->to, "--to");
  }
  return options;
}

// A path begins and ends on the centre lines, wherever the points that were asked for are.
void warn_of_far_ends(const vessel::PathEnds& asked, const vessel::MeasuredSegment& path) {
  constexpr double kFar_px = 10;
  const auto warn = [](const char* flag, const image::PointF& there, const image::PointF& here) {
    const double way_px = std::hypot(there.y - here.y, there.x - here.x);
    if (way_px <= kFar_px) return;
    log_warning("[measure] ", flag, " is ", std::lround(way_px), " px from the nearest vessel; the path ends at y ",
                std::lround(here.y), ", x ", std::lround(here.x));
  };
  if (path.centreline.empty()) return;
  warn("--from", asked.from, path.centreline.front());
  warn("--to", asked.to, path.centreline.back());
}

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.accuracy && common.dry_run) {
    print_result(common, Json{{"disclaimer", kDisclaimer}, {"accuracy", true}},
                 concat("would measure phantoms, for some minutes\n", kDisclaimer));
    return;
  }
  if (flags.accuracy) return report_accuracy(flags.picture.model, common);
  CMUNET_CHECK(!flags.out.empty(), ErrorCode::kInvalidArgument, "[measure] no --out; expected an output folder");
  check_output_folder(flags.out, common.force);
  Picture picture = read_picture(flags.picture, flags.calibration, common);
  const vessel::MeasureOptions options = options_of(flags, picture);
  if (common.dry_run) {
    const Json plan = {{"disclaimer", kDisclaimer}, {"image", flags.picture.image}, {"out", flags.out}};
    print_result(common, plan, concat("would measure one picture into ", flags.out, "\n", kDisclaimer));
    return;
  }
  const vessel::Measurement measurement =
      picture.mask ? measure_vessels(*picture.mask, options) : measure_vessels(*picture.probability, options);
  if (options.path) warn_of_far_ends(*options.path, measurement.segments.at(0));
  prepare_output_folder(flags.out, common.force);
  report::MeasurementPage page;
  page.head.subtitle = picture.title;
  page.grey = report::to_grey8(picture.grey);
  page.source = picture.source;
  page.filling = picture.filling;
  report::write_measurement(flags.out, measurement, page);
  print_result(common, report::measurement_json(measurement, picture.source),
               concat(report::measurement_text(measurement), "measurements.json, profiles.csv and report.html are in ",
                      flags.out, "\n"));
}

}  // namespace

void add_measure(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  MeasureInputFlags& picture = flags->picture;
  // As a variable of a script that was not set gives it: the model would be measured instead of the mask.
  const auto not_empty = [](const std::string& text) { return text.empty() ? std::string("is empty") : std::string(); };
  app.add_option("--out", flags->out, "output folder");
  app.add_option("--mask", picture.mask,
                 "measure this mask: a picture, any value but 0 is vessel, or a DICOM segmentation")
      ->check(not_empty);
  app.add_option("--probability", picture.probability, "measure this map, as of predict --probabilities")
      ->check(not_empty);
  app.add_option("--model", picture.model, "without both: segment with this model; default: the program's own")
      ->check(not_empty);
  app.add_option("--frame", picture.frame, "of a DICOM run: best, or its number from 1")->capture_default_str();
  add_numbers(app, "--from", flags->from, 2, 2, "y,x: measure one path along the vessels, from here");
  add_numbers(app, "--to", flags->to, 2, 2, "y,x: to here");
  app.add_option("--walls", flags->walls,
                 "where walls are: where the picture's grey values show them (image), or at the mask's edge (mask); "
                 "default: image when there is one")
      ->check(CLI::IsMember({"image", "mask"}));
  app.add_option("--reference", flags->reference, "reference diameter: computed, interpolated or mean_local")
      ->check(CLI::IsMember({"computed", "interpolated", "mean_local"}))
      ->capture_default_str();
  add_numbers(app, "--markers", flags->markers, 1, 100, "its places, shares of the length: 0.1,0.9");
  add_calibration_flags(app, flags->calibration);
  app.add_flag("--accuracy", flags->accuracy, "instead: measure phantoms of known size and print the errors");
  app.add_flag("--identify", picture.identify,
               "also say whose run this is: keep a file name that names the patient, and write path and SOP Instance "
               "UID into the results");
  app.add_option("image", picture.image,
                 "the angiogram: a picture, a DICOM file, or a folder or DICOMDIR with one run");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
