// SPDX-License-Identifier: Apache-2.0
// `cmunet measure`: diameters and stenoses of the vessels in one picture, in pixels or, when calibrated, millimetres.
#include "cmunet/vessel/measure.h"

#include <filesystem>
#include <memory>

#include "cmunet/base/file.h"
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
  options.markers = flags.markers;
  options.field = picture.field;
  CMUNET_CHECK(flags.walls != "image" || !picture.grey.empty(), ErrorCode::kInvalidArgument,
               "[measure] --walls image without a picture; expected one to find them in");
  if (flags.walls != "mask" && !picture.grey.empty()) {
    options.angiogram = {.grey = picture.grey, .is_log = picture.is_log};
  }
  if (!flags.from.empty()) options.path = vessel::PathEnds{{flags.from[0], flags.from[1]}, {flags.to[0], flags.to[1]}};
  return options;
}

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.accuracy) return report_accuracy(flags.picture.model, common);
  CMUNET_CHECK(!flags.out.empty(), ErrorCode::kInvalidArgument, "[measure] no --out; expected an output folder");
  if (common.dry_run) {
    const Json plan = {{"image", flags.picture.image}, {"out", flags.out}};
    print_result(common, plan, concat("would measure one picture into ", flags.out));
    return;
  }
  Picture picture = read_picture(flags.picture, flags.calibration, common);
  const vessel::MeasureOptions options = options_of(flags, picture);
  const vessel::Measurement measurement =
      picture.mask ? measure_vessels(*picture.mask, options) : measure_vessels(*picture.probability, options);
  prepare_output_folder(flags.out, common.force);
  report::MeasurementPage page;
  page.head.subtitle = picture.title;
  page.grey = report::to_grey8(picture.grey);
  page.source = picture.source;
  report::write_measurement(flags.out, measurement, page);
  print_result(common, report::measurement_json(measurement, picture.source),
               concat(report::measurement_text(measurement), "measurements.json, profiles.csv and report.html are in ",
                      flags.out, "\n"));
}

}  // namespace

void add_measure(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  MeasureInputFlags& picture = flags->picture;
  app.add_option("--out", flags->out, "output folder");
  app.add_option("--mask", picture.mask, "measure this mask; any value but 0 is vessel");
  app.add_option("--probability", picture.probability, "measure this map, as of predict --probabilities");
  app.add_option("--model", picture.model, "without both: segment with this model; default: the program's own");
  app.add_option("--frame", picture.frame, "of a DICOM run: best, or its number from 1")->capture_default_str();
  app.add_option("--from", flags->from, "y,x: measure one path along the vessels, from here")
      ->delimiter(',')
      ->expected(2);
  app.add_option("--to", flags->to, "y,x: to here")->delimiter(',')->expected(2);
  app.add_option("--walls", flags->walls,
                 "where walls are: where the picture's grey values show them (image), or at the mask's edge (mask); "
                 "default: image when there is one")
      ->check(CLI::IsMember({"image", "mask"}));
  app.add_option("--reference", flags->reference, "reference diameter: computed, interpolated or mean_local")
      ->check(CLI::IsMember({"computed", "interpolated", "mean_local"}))
      ->capture_default_str();
  app.add_option("--markers", flags->markers, "its places, shares of the length: 0.1,0.9")->delimiter(',');
  add_calibration_flags(app, flags->calibration);
  app.add_flag("--accuracy", flags->accuracy, "instead: measure phantoms of known size and print the errors");
  app.add_flag("--identify", picture.identify,
               "also say whose run this is: keep a file name that names the patient, and write path and SOP Instance "
               "UID into the results");
  app.add_option("image", picture.image, "the angiogram: a picture or a DICOM file");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
