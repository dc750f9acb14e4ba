// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/measure_input.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "cmunet/base/log.h"
#include "cmunet/base/number.h"
#include "cmunet/cli/image_files.h"
#include "cmunet/cli/model.h"
#include "cmunet/cli/predict_run.h"
#include "cmunet/cli/run_name.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dataset/run_calibration.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/engine/frame.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

// Folders are often named after patients.
std::string name_of(const std::string& path) { return fs::path(path).filename().string(); }

// One run of those that a folder or DICOMDIR holds; any other path as it is.
std::string one_run_of(const std::string& path) {
  if (!fs::is_directory(path) && !dicom::is_dicomdir(path)) return path;
  const std::vector<fs::path> runs = dicom::find_runs(path);
  if (runs.size() == 1) return runs.front().string();
  throw Error(ErrorCode::kInvalidArgument,
              concat("[measure] ", path, " holds ", runs.size(), " DICOM runs; expected one, or a picture"),
              runs.empty() ? "name the picture itself"
                           : "name one of its files; cmunet predict --dicom-sr measures all runs below a folder");
}

int choose_frame(const dicom::XaRun& run, const std::string& flag, Picture& picture) {
  const FrameChoice choice = parse_frame_choice(flag, "[measure] --frame");
  const dicom::XaHeader& header = run.header();
  CMUNET_CHECK(!choice.all, ErrorCode::kInvalidArgument, "[measure] --frame all; one frame is measured, best or N");
  CMUNET_CHECK(choice.frame.value_or(0) < header.frames, ErrorCode::kInvalidArgument, "[measure] frame ",
               choice.frame.value_or(0) + 1, " of a run of ", header.frames);
  if (choice.frame || header.frames == 1) return choice.frame.value_or(0);
  picture.filling = measure_filling(run);
  if (!picture.filling->fills)
    log_warning("no contrast medium is seen to arrive in this run; its best frame is a guess");
  return picture.filling->best_frame;
}

using Segmentation = std::optional<dicom::SegmentationContent>;

// The mask of frame `number`, from 1, or without it the only one.
image::Mask mask_of_frame(const dicom::SegmentationContent& segmentation, std::optional<int> number) {
  const std::vector<int>& sources = segmentation.source_frames;
  constexpr std::size_t kListed = 8;
  std::string frames;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (number ? sources[i] + 1 == *number : sources.size() == 1) return segmentation.mask(i);
    if (i < kListed) frames += concat(i == 0 ? "" : ", ", sources[i] + 1);
    if (i == kListed) frames += ", …";
  }
  throw Error(ErrorCode::kInvalidArgument,
              concat("[measure] --mask has no mask of ", number ? concat("frame ", *number) : "that frame", "; it has ",
                     sources.size(), ", of ", frames),
              "choose one with --frame");
}

// What the page and the files say of the run, unless --identify without what names the patient.
void describe_run(const MeasureInputFlags& flags, const std::string& file, const dicom::XaRun& run, int frame,
                  Picture& picture) {
  const dicom::XaHeader& header = run.header();
  picture.title = flags.identify ? file_name_of_run(file) : name_of_run(file, run, "run");
  picture.source["image"] = picture.title;
  picture.source["frame"] = frame + 1;
  picture.source["frames"] = header.frames;
  if (const std::string view = view_of(run.geometry(frame)); !view.empty()) picture.source["view"] = view;
  picture.source.update(remarks_on(header));
  if (flags.identify) picture.source.update(identity_of_run(file, run));
  if (header.frames > 1) picture.title += concat(", frame ", frame + 1, " of ", header.frames);
  warn_of_run("this run", header);
  for (const auto& [role, path] : {std::pair("mask", &flags.mask), std::pair("probability", &flags.probability)}) {
    if (!flags.identify && !path->empty() && identifies(name_of(*path), run))
      picture.source[role] = "named like the run";
  }
}

preprocess::FrameTraits read_frame(const MeasureInputFlags& flags, const std::string& file,
                                   const Segmentation& segmentation, Picture& picture) {
  const dicom::XaRun run(file);
  const dicom::XaHeader& header = run.header();
  std::string wish = flags.frame;
  if (segmentation) {
    CMUNET_CHECK(segmentation->source_sop_instance_uid == header.source.sop_instance_uid, ErrorCode::kInvalidArgument,
                 "[measure] --mask is a segmentation of another run");
    if (wish == "best" && segmentation->source_frames.size() == 1)
      wish = concat(segmentation->source_frames.front() + 1);
  }
  if (header.frames > 1 && wish == "best" && !segmentation && !(flags.mask + flags.probability).empty()) {
    const char* flag = flags.mask.empty() ? "--probability" : "--mask";
    throw Error(ErrorCode::kInvalidArgument,
                concat("[measure] ", flag, " is a picture, which does not say which of the run's ", header.frames,
                       " frames it shows"),
                "say it with --frame N, counted from 1");
  }
  const int frame = choose_frame(run, wish, picture);
  picture.grey = run.frame(frame);
  picture.field = run.field(frame);
  picture.is_log = header.is_log;
  picture.geometry = dataset::geometry_of(run.geometry(frame), header.pixel_aspect_ratio);
  describe_run(flags, file, run, frame, picture);
  return {.pixel_aspect = header.pixel_aspect_ratio, .is_log = header.is_log};
}

// That of the picture, else the flag's; absent when nothing says it.
std::optional<int> frame_to_measure(const MeasureInputFlags& flags, const Picture& picture) {
  if (picture.source.contains("frame")) return picture.source["frame"].get<int>();
  if (const auto frame = parse_frame_choice(flags.frame, "[measure] --frame").frame) return *frame + 1;
  return std::nullopt;
}

image::Mask read_mask(const std::string& path) {
  codec::LabelMask read = codec::mask_of_labels(codec::read_labels(path));
  codec::warn_of_soft_masks(read.soft_pixels > 0 ? 1 : 0, read.soft_pixels, "measure");
  return std::move(read.mask);
}

image::ImageF read_probability(const std::string& path) {
  image::ImageF probability = codec::read_image(path).grey;
  for (float& p : probability) p = std::clamp(p / 255, 0.0F, 1.0F);
  return probability;
}

template <typename Vessels>
void check_size(const Vessels& vessels, const image::ImageF& grey, const char* flag) {
  CMUNET_CHECK(grey.empty() || (vessels.height() == grey.height() && vessels.width() == grey.width()),
               ErrorCode::kInvalidArgument, "[measure] ", flag, " has ", vessels.height(), " rows and ",
               vessels.width(), " columns; expected those of the picture, ", grey.height(), " and ", grey.width());
}

image::ImageF segment(const MeasureInputFlags& flags, const CommonOptions& common, Picture& picture,
                      const preprocess::FrameTraits& traits) {
  const std::string path = flags.model.empty() ? default_model() : flags.model;
  const Model model = open_model(path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[measure] ", path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  picture.source["model"] = fs::path(path).filename().string();
  const engine::Segmenter segmenter(model.engine, preprocess::options_from_json(model.info.preprocessing, path));
  if (common.dry_run) return image::ImageF(picture.grey.height(), picture.grey.width());
  const image::Mask everywhere(picture.grey.height(), picture.grey.width(), 1);
  return engine::segment_frame(segmenter, picture.grey, picture.field.empty() ? everywhere : picture.field, traits)
      .probability;
}

image::Spacing spacing_of(const std::vector<double>& values) { return {values.front(), values.back()}; }

image::PointF point(const std::vector<double>& values, std::size_t first) { return {values[first], values[first + 1]}; }

// What the user says about the shape of pixels; it goes before what the header says.
std::optional<double> aspect_of(const CalibrationFlags& flags) {
  for (const std::vector<double>* spacing : {&flags.spacing_mm, &flags.imager_spacing_mm}) {
    if (spacing->empty()) continue;
    CMUNET_CHECK(spacing->front() > 0 && spacing->back() > 0, ErrorCode::kInvalidArgument, "[measure] a spacing of ",
                 spacing->front(), " x ", spacing->back(), " mm; expected positive numbers");
    return spacing->front() / spacing->back();
  }
  return std::nullopt;
}

vessel::Calibration calibrate_by_catheter(const CalibrationFlags& flags, const Picture& picture, double aspect) {
  CMUNET_CHECK(flags.catheter_points.empty() != flags.catheter_along.empty(), ErrorCode::kInvalidArgument,
               "[measure] --catheter-french needs either --catheter-points on its two walls or --catheter-along on its "
               "axis");
  const auto& clicks = flags.catheter_points.empty() ? flags.catheter_along : flags.catheter_points;
  for (const std::size_t first : {0U, 2U}) {
    check_in_picture(picture, point(clicks, first),
                     flags.catheter_points.empty() ? "--catheter-along" : "--catheter-points");
  }
  const auto part = flags.catheter_part == "marker" ? vessel::CatheterPart::kMarker : vessel::CatheterPart::kShaft;
  if (!flags.catheter_points.empty()) {
    const auto width =
        vessel::catheter_width_between(point(flags.catheter_points, 0), point(flags.catheter_points, 2), aspect);
    return vessel::calibrate_by_catheter(*flags.catheter_french, part, width, aspect);
  }
  CMUNET_CHECK(!picture.grey.empty(), ErrorCode::kInvalidArgument,
               "[measure] --catheter-along without a picture; the catheter's walls are found in one");
  const auto width = vessel::detect_catheter_width(picture.grey, point(flags.catheter_along, 0),
                                                   point(flags.catheter_along, 2), aspect);
  return vessel::calibrate_by_catheter(*flags.catheter_french, part, width, aspect);
}

// Each flag goes before what the header says of the same thing.
vessel::Calibration calibrate_by_geometry(const CalibrationFlags& flags, vessel::AcquisitionGeometry geometry) {
  CMUNET_CHECK(!flags.magnification || (!flags.sid_mm && !flags.sod_mm), ErrorCode::kInvalidArgument,
               "[measure] --magnification beside --sid-mm or --sod-mm, whose quotient it is; expected one of the two");
  std::vector<std::string> given;
  geometry.pixel_spacing_mm.reset();
  geometry.object_pixel_spacing_mm.reset();
  if (!flags.imager_spacing_mm.empty()) {
    geometry.imager_pixel_spacing_mm = spacing_of(flags.imager_spacing_mm);
    given.emplace_back("Imager Pixel Spacing");
  }
  if (flags.magnification) {
    geometry.magnification = flags.magnification;
    geometry.source_detector_mm.reset();
    given.emplace_back("magnification");
  }
  if (flags.sid_mm || flags.sod_mm) geometry.magnification.reset();
  if (flags.sid_mm) {
    geometry.source_detector_mm = flags.sid_mm;
    given.emplace_back("source to detector");
  }
  if (flags.sod_mm) {
    geometry.source_patient_mm = flags.sod_mm;
    given.emplace_back("source to patient");
  }
  vessel::Calibration calibration = vessel::calibrate_by_geometry(geometry);
  CMUNET_CHECK(calibration.mm_per_px, ErrorCode::kInvalidArgument, "[measure] ", calibration.note,
               "; expected --imager-spacing-mm (or a DICOM header that has it) and --magnification of 1.05…5, or "
               "--sid-mm and --sod-mm (or a header that has the other one)");
  calibration.note += "; given by the user:";
  for (const std::string& what : given) calibration.note += concat(&what == &given.front() ? " " : ", ", what);
  return calibration;
}

}  // namespace

CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<double>& numbers, std::size_t least,
                         std::size_t most, const std::string& help) {
  const auto take = [name, &numbers, least, most](const std::string& text) {
    numbers.clear();
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
      const std::optional<double> number = parse_number<double>(word);
      if (!number || !std::isfinite(*number)) {
        throw CLI::ValidationError(name, concat("'", text, "' is not numbers with commas between them"));
      }
      numbers.push_back(*number);
    }
    if (numbers.size() < least || numbers.size() > most) {
      throw CLI::ValidationError(name, concat("'", text, "' holds ", numbers.size(), " numbers; expected ", least,
                                              most > least ? concat(" to ", most) : ""));
    }
  };
  return app.add_option_function<std::string>(name, take, help)->type_name("NUMBERS");
}

void add_calibration_flags(CLI::App& app, CalibrationFlags& flags) {
  add_numbers(app, "--spacing-mm", flags.spacing_mm, 1, 2, "millimetres per pixel in the vessel's plane: row[,column]");
  app.add_option(
      "--spacing-sd-percent", flags.spacing_sd_percent,
      "how uncertain that is, one standard deviation; default 0: exact, so that intervals in mm hold no error of it");
  add_numbers(app, "--imager-spacing-mm", flags.imager_spacing_mm, 1, 2, "pixel spacing on the detector: row[,column]");
  app.add_option("--magnification", flags.magnification, "of the vessel on the detector");
  app.add_option("--sid-mm", flags.sid_mm,
                 "source to detector; with --sod-mm (or the header's) instead of --magnification");
  app.add_option("--sod-mm", flags.sod_mm, "source to patient, likewise");
  app.add_option("--catheter-french", flags.catheter_french, "outer diameter of the catheter, 3 French = 1 mm");
  add_numbers(app, "--catheter-points", flags.catheter_points, 4, 4, "y,x,y,x: a point on each wall of the catheter");
  add_numbers(app, "--catheter-along", flags.catheter_along, 4, 4,
              "y,x,y,x: two points on its axis; its walls are detected");
  app.add_option("--catheter-part", flags.catheter_part, "what was marked: shaft or marker ring")
      ->check(CLI::IsMember({"shaft", "marker"}))
      ->capture_default_str();
}

void check_in_picture(const Picture& picture, const image::PointF& point, const std::string& flag) {
  int height = picture.grey.height(), width = picture.grey.width();
  if (picture.mask) height = picture.mask->height(), width = picture.mask->width();
  if (picture.probability) height = picture.probability->height(), width = picture.probability->width();
  CMUNET_CHECK(point.y >= 0 && point.x >= 0 && point.y <= height - 1 && point.x <= width - 1,
               ErrorCode::kInvalidArgument, "[measure] ", flag, " has a point at y ", point.y, ", x ", point.x,
               "; expected one within the picture of ", height, " rows and ", width, " columns");
}

Picture read_picture(const MeasureInputFlags& flags, const CalibrationFlags& calibration, const CommonOptions& common) {
  CMUNET_CHECK(flags.mask.empty() || flags.probability.empty(), ErrorCode::kInvalidArgument,
               "[measure] both --mask and --probability; expected one of them");
  const std::string vessels = flags.mask + flags.probability;
  CMUNET_CHECK(!(flags.image.empty() && vessels.empty()), ErrorCode::kInvalidArgument,
               "[measure] neither a picture nor --mask nor --probability; expected one at least");
  Picture picture;
  picture.title = flags.image.empty() && is_dicom(vessels) ? "DICOM segmentation"
                                                           : name_of(flags.image.empty() ? vessels : flags.image);
  picture.source = Json::object();
  preprocess::FrameTraits traits;
  const Segmentation segmentation =
      is_dicom(flags.mask) ? Segmentation(dicom::read_segmentation(flags.mask)) : std::nullopt;
  if (!flags.image.empty()) {
    const std::string file = one_run_of(flags.image);
    if (is_dicom(file)) {
      traits = read_frame(flags, file, segmentation, picture);
    } else {
      picture.source["image"] = picture.title;
      picture.grey = codec::read_image(file).grey;
    }
  }
  if (!flags.mask.empty()) {
    if (!picture.source.contains("mask")) {
      picture.source["mask"] =
          segmentation ? concat("DICOM segmentation: ", segmentation->segment_label) : name_of(flags.mask);
    }
    picture.mask =
        segmentation ? mask_of_frame(*segmentation, frame_to_measure(flags, picture)) : read_mask(flags.mask);
    check_size(*picture.mask, picture.grey, "--mask");
  } else if (!flags.probability.empty()) {
    if (!picture.source.contains("probability")) picture.source["probability"] = name_of(flags.probability);
    picture.probability = read_probability(flags.probability);
    check_size(*picture.probability, picture.grey, "--probability");
  } else {
    traits.pixel_aspect = aspect_of(calibration).value_or(traits.pixel_aspect);
    picture.probability = segment(flags, common, picture, traits);
  }
  return picture;
}

vessel::Calibration calibrate(const CalibrationFlags& flags, const Picture& picture) {
  const bool has_geometry_flag = flags.magnification || flags.sid_mm || flags.sod_mm;
  const int ways = int{!flags.spacing_mm.empty()} + int{!flags.imager_spacing_mm.empty() || has_geometry_flag} +
                   int{flags.catheter_french.has_value()};
  CMUNET_CHECK(ways <= 1, ErrorCode::kInvalidArgument,
               "[measure] more than one calibration; expected --spacing-mm, or a magnification, or a catheter");
  CMUNET_CHECK(flags.catheter_french || (flags.catheter_points.empty() && flags.catheter_along.empty()),
               ErrorCode::kInvalidArgument, "[measure] a catheter without --catheter-french; its size is needed");
  if (!flags.spacing_mm.empty()) {
    return vessel::calibrate_manually(spacing_of(flags.spacing_mm), flags.spacing_sd_percent / 100);
  }
  if (!flags.imager_spacing_mm.empty() || has_geometry_flag) return calibrate_by_geometry(flags, picture.geometry);
  const vessel::Calibration by_header = vessel::calibrate_by_geometry(picture.geometry);
  return flags.catheter_french ? calibrate_by_catheter(flags, picture, by_header.aspect) : by_header;
}

}  // namespace cmunet::cli
