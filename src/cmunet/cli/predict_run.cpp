// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/predict_run.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "cmunet/base/log.h"
#include "cmunet/base/number.h"
#include "cmunet/cli/vessel_report.h"
#include "cmunet/dataset/run_calibration.h"
#include "cmunet/dicom/secondary_capture.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/engine/frame.h"
#include "cmunet/report/overlay.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

Json to_json(const vessel::Opacification& filling) {
  return {{"best_frame", filling.best_frame + 1},
          {"fills", filling.fills},
          {"score", filling.score},
          {"smoothed", filling.smoothed}};
}

Json describe(const std::string& name, const dicom::XaHeader& header) {
  Json row = {{"run", name}, {"frames", header.frames}};  // UIDs lead to the patient; SEG and SR have them
  if (const std::string view = view_of(header.geometry); !view.empty()) row["view"] = view;
  row.update(remarks_on(header));
  return row;
}

std::vector<int> chosen_frames(const dicom::XaRun& run, const FrameChoice& choice,
                               const std::optional<vessel::Opacification>& filling) {
  const int frames = run.header().frames;
  if (choice.all) {
    std::vector<int> all(static_cast<std::size_t>(frames));
    for (int i = 0; i < frames; ++i) all[static_cast<std::size_t>(i)] = i;
    return all;
  }
  if (!choice.frame) return {filling ? filling->best_frame : 0};
  CMUNET_CHECK(*choice.frame < frames, ErrorCode::kInvalidArgument, "[predict] frame ", *choice.frame + 1,
               " of a run of ", frames);
  return {*choice.frame};
}

// "run" for a single image, "run_frame017" for a frame of a run.
std::string frame_stem(const std::string& name, int frame, int frames) {
  if (frames == 1) return name;
  char text[32];
  std::snprintf(text, sizeof text, "_frame%03d", frame + 1);
  return name + text;
}

// As `cmunet measure` does: walls are found in the frame, around where the probability is 0.5, as long as the mask is
// no more than that; a mask that post-processing has changed is measured itself, without bridges: those were assumed,
// not seen.
vessel::Measurement measure(const engine::Segmentation& result, const vessel::MeasureOptions& options) {
  image::Mask seen = result.mask;
  bool is_plain = true;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    is_plain &= (seen.data()[i] != 0) == (result.probability.data()[i] > 0.5F);
    if (result.bridges.data()[i] != 0) seen.data()[i] = 0;
  }
  return is_plain ? vessel::measure_vessels(result.probability, options) : vessel::measure_vessels(seen, options);
}

// Writes what becomes of each frame, and at the end what becomes of all.
class ResultWriter {
 public:
  ResultWriter(const dicom::XaRun& run, const std::string& name, const RunJob& job, const fs::path& out)
      : source_{run.header(), run.patient()},
        name_(name),
        job_(job),
        out_(out),
        segmentation_(source_, named("seg", 0)),
        capture_series_(dicom::new_uid()) {}

  Json add(int frame, const image::ImageF& grey, const engine::Segmentation& result) {
    const std::string stem = frame_stem(name_, frame, source_.header.frames);
    Json entry = {{"frame", frame + 1}};
    const std::vector<double>& times_ms = source_.header.frame_time_ms;
    if (!times_ms.empty()) entry["time_ms"] = times_ms[static_cast<std::size_t>(frame)];
    if (job_.pictures) entry.update(write_pictures(out_, stem, grey, result, *job_.pictures));
    if (job_.segmentation) segmentation_.add(frame, result.mask);
    if (job_.secondary_captures) {
      dicom::ResultOptions options = named("sc", frame);
      if (options.series_uid.empty()) options.series_uid = capture_series_;
      options.instance_number = frame + 1;
      entry["dicom_sc"] = stem + "_sc.dcm";
      dicom::write_secondary_capture(out_ / (stem + "_sc.dcm"), source_, frame,
                                     report::overlay_mask(grey, result.mask, result.bridges), options);
    }
    return entry;
  }

  // Measures the vessels of a frame and writes the report; returns nothing where there is no vessel to measure.
  Json report(int frame, const image::ImageF& grey, const engine::Segmentation& result, const dicom::XaRun& run) const {
    const vessel::Calibration calibration =
        dataset::calibration_of(run.geometry(frame), source_.header.pixel_aspect_ratio);
    const vessel::Measurement measurement =
        measure(result, {.calibration = calibration,
                         .field = run.field(frame),
                         .angiogram = {.grey = grey, .is_log = source_.header.is_log}});
    const dicom::ArterialReport report = arterial_report(measurement, frame);
    if (report.segments.empty()) {
      log_warning("no vessel in ", job_.called.empty() ? name_ : job_.called, " is long enough to be measured");
      return Json::object();
    }
    const fs::path path = out_ / (frame_stem(name_, frame, source_.header.frames) + "_sr.dcm");
    dicom::write_structured_report(path, source_, report, named("sr", frame));
    return {{"dicom_sr", path.filename().string()}, {"calibration", calibration.note}};
  }

  Json finish() const {
    if (!job_.segmentation) return Json::object();
    const fs::path path = out_ / (name_ + "_seg.dcm");
    segmentation_.save(path);
    return {{"dicom_seg", path.filename().string()}};
  }

 private:
  dicom::ResultOptions named(const std::string& role, int frame) const {
    dicom::ResultOptions options = job_.name_result ? job_.name_result(role, frame) : dicom::ResultOptions{};
    options.model = job_.model;
    return options;
  }

  dicom::ResultSource source_;
  std::string name_;
  const RunJob& job_;
  fs::path out_;
  dicom::SegmentationObject segmentation_;
  std::string capture_series_;
};

}  // namespace

vessel::Opacification measure_filling(const dicom::XaRun& run) {
  const dicom::XaHeader& header = run.header();
  return vessel::measure_opacification(
      header.frames, [&run](int i) { return run.frame(i); }, run.field(), header.is_log);
}

std::string view_of(const dicom::Geometry& geometry) {
  if (!geometry.primary_angle_deg || !geometry.secondary_angle_deg) return {};
  const double primary = std::round(10 * *geometry.primary_angle_deg) / 10;
  const double secondary = std::round(10 * *geometry.secondary_angle_deg) / 10;
  return concat(primary < 0 ? "RAO " : "LAO ", std::abs(primary), secondary < 0 ? ", caudal " : ", cranial ",
                std::abs(secondary));
}

FrameChoice parse_frame_choice(const std::string& text, const std::string& flag) {
  if (text == "best") return {};
  if (text == "all") return {.all = true};
  const std::optional<int> number = parse_number<int>(text);
  CMUNET_CHECK(number && *number >= 1, ErrorCode::kInvalidArgument, flag, " is '", text,
               "'; expected best, all or the number of a frame, counted from 1");
  return {.frame = *number - 1};
}

Json remarks_on(const dicom::XaHeader& header) {
  Json remarks = Json::object();
  if (header.lossy) remarks["lossy"] = *header.lossy;
  if (header.burned_in_annotation) remarks["burned_in_annotation"] = true;
  if (!header.oddities.empty()) remarks["oddities"] = header.oddities;
  return remarks;
}

void warn_of_run(const std::string& name, const dicom::XaHeader& header) {
  for (const std::string& oddity : header.oddities) log_warning(name, ": ", oddity);
  if (header.burned_in_annotation) log_warning("the pixels of ", name, " say who the patient is");
}

Json predict_run(const dicom::XaRun& run, const std::string& name, const engine::Segmenter& segmenter,
                 const RunJob& job, const fs::path& out) {
  const dicom::XaHeader& header = run.header();
  Json row = describe(name, header);
  const std::string called = job.called.empty() ? name : job.called;
  warn_of_run(called, header);
  std::optional<vessel::Opacification> filling;
  if (header.frames > 1 && !job.frames.frame) {
    filling = measure_filling(run);
    row["opacification"] = to_json(*filling);
    if (!filling->fills) log_warning("no contrast medium is seen to arrive in ", called, "; its best frame is a guess");
  }
  ResultWriter writer(run, name, job, out);
  const std::vector<int> frames = chosen_frames(run, job.frames, filling);
  const int reported = frames.size() == 1 ? frames.front() : filling ? filling->best_frame : 0;
  Json segmented = Json::array();
  for (const int frame : frames) {
    const image::ImageF grey = run.frame(frame);
    const engine::Segmentation result = engine::segment_frame(
        segmenter, grey, run.field(frame), {.pixel_aspect = header.pixel_aspect_ratio, .is_log = header.is_log});
    Json entry = writer.add(frame, grey, result);
    if (job.report && frame == reported) entry.update(writer.report(frame, grey, result, run));
    segmented.push_back(std::move(entry));
  }
  row["segmented"] = std::move(segmented);
  row.update(writer.finish());
  return row;
}

}  // namespace cmunet::cli
