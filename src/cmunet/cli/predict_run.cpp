// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/predict_run.h"

#include <charconv>
#include <cstdio>
#include <vector>

#include "cmunet/base/log.h"
#include "cmunet/dicom/secondary_capture.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/engine/frame.h"
#include "cmunet/report/overlay.h"
#include "cmunet/vessel/opacification.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

Json to_json(const vessel::Opacification& filling) {
  return {{"best_frame", filling.best_frame + 1},
          {"fills", filling.fills},
          {"score", filling.score},
          {"smoothed", filling.smoothed}};
}

Json describe(const fs::path& file, const dicom::XaHeader& header) {
  Json row = {{"run", file.string()},
              {"sop_instance_uid", header.source.sop_instance_uid},
              {"series_uid", header.source.series_uid},
              {"frames", header.frames}};
  if (header.lossy) row["lossy"] = *header.lossy;
  if (header.burned_in_annotation) row["burned_in_annotation"] = true;
  if (!header.oddities.empty()) row["oddities"] = header.oddities;
  return row;
}

vessel::Opacification measure_filling(const dicom::XaRun& run) {
  const dicom::XaHeader& header = run.header();
  return vessel::measure_opacification(
      header.frames, [&run](int i) { return run.frame(i); }, run.field(), header.is_log);
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

}  // namespace

FrameChoice parse_frame_choice(const std::string& text) {
  if (text == "best") return {};
  if (text == "all") return {.all = true};
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  CMUNET_CHECK(error == std::errc() && end == text.data() + text.size() && number >= 1, ErrorCode::kInvalidArgument,
               "[predict] --frames is '", text, "'; expected best, all or the number of a frame, counted from 1");
  return {.frame = number - 1};
}

Json predict_run(const fs::path& file, const std::string& name, const engine::Segmenter& segmenter, const RunJob& job,
                 const fs::path& out) {
  const dicom::XaRun run(file);
  const dicom::XaHeader& header = run.header();
  Json row = describe(file, header);
  if (header.burned_in_annotation) log_warning("the pixels of ", name, " say who the patient is");
  std::optional<vessel::Opacification> filling;
  if (header.frames > 1 && !job.frames.frame) {
    filling = measure_filling(run);
    row["opacification"] = to_json(*filling);
    if (!filling->fills) log_warning("no contrast medium is seen to arrive in ", name, "; its best frame is a guess");
  }

  const dicom::ResultSource source{header, run.patient()};
  const auto named = [&job](const std::string& role, int frame) {
    dicom::ResultOptions options = job.name_result ? job.name_result(role, frame) : dicom::ResultOptions{};
    options.model = job.model;
    return options;
  };
  dicom::SegmentationObject segmentation(source, named("seg", 0));
  const std::string capture_series = dicom::new_uid();
  Json segmented = Json::array();
  for (const int frame : chosen_frames(run, job.frames, filling)) {
    const image::ImageF grey = run.frame(frame);
    const engine::Segmentation result = engine::segment_frame(
        segmenter, grey, run.field(), {.pixel_aspect = header.pixel_aspect_ratio, .is_log = header.is_log});
    const std::string stem = frame_stem(name, frame, header.frames);
    Json entry = {{"frame", frame + 1}};
    if (job.pictures) entry.update(write_pictures(out, stem, grey, result, *job.pictures));
    if (job.segmentation) segmentation.add(frame, result.mask);
    if (job.secondary_captures) {
      dicom::ResultOptions options = named("sc", frame);
      if (options.series_uid.empty()) options.series_uid = capture_series;
      options.instance_number = frame + 1;
      entry["dicom_sc"] = (out / (stem + "_sc.dcm")).string();
      dicom::write_secondary_capture(out / (stem + "_sc.dcm"), source, frame, report::overlay_mask(grey, result.mask),
                                     options);
    }
    segmented.push_back(std::move(entry));
  }
  row["segmented"] = std::move(segmented);
  if (job.segmentation) {
    row["dicom_seg"] = (out / (name + "_seg.dcm")).string();
    segmentation.save(out / (name + "_seg.dcm"));
  }
  return row;
}

}  // namespace cmunet::cli
