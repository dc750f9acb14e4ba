// SPDX-License-Identifier: Apache-2.0
// From a DICOM run to its vessels: frames chosen and segmented one at a time, pictures and DICOM objects written.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/cli/prediction_pictures.h"
#include "cmunet/dicom/result_object.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/engine/segmenter.h"
#include "cmunet/vessel/opacification.h"

namespace cmunet::cli {

/// Which frames are segmented.
struct FrameChoice {
  bool all = false;
  std::optional<int> frame = std::nullopt;  ///< 0-based; absent and not `all`: where the arteries are filled best
};

/// "best", "all", or the number of a frame, counted from 1 as viewers do. @throws Error kInvalidArgument.
/// @param flag  for the message: "[predict] --frames"
FrameChoice parse_frame_choice(const std::string& text, const std::string& flag);

/// How far the arteries are filled in each frame. @throws Error kInvalidArgument for frames below 32 px a side.
vessel::Opacification measure_filling(const dicom::XaRun& run);

/// From where the run was taken, as cardiologists say it: "LAO 30, cranial 25" degrees. Empty without both angles.
std::string view_of(const dicom::Geometry& geometry);

/// Warns of what a person must know before results of the run `name` are looked at: oddities, among them that it is no
/// angiogram, and identity in its pixels.
void warn_of_run(const std::string& name, const dicom::XaHeader& header);
/// What was odd about the run, what it lost before, identity in its pixels: for the record of any result.
Json remarks_on(const dicom::XaHeader& header);

/// What becomes of a run.
struct RunJob {
  FrameChoice frames;
  std::optional<PictureFlags> pictures;  ///< absent: no PNG files
  bool segmentation = false;             ///< `<name>_seg.dcm`, of all frames that were segmented
  bool secondary_captures = false;       ///< `<name>_frame017_sc.dcm` for each of them
  bool report = false;                   ///< `<name>_frame017_sr.dcm`, what is measured on the best frame
  std::string model;                     ///< for the algorithm's name in DICOM objects
  std::string called = {};               ///< the run's name in messages; empty for its name in files
  /// UIDs of the objects by role ("seg", "sc", "sr") and 0-based frame; without it they get new ones.
  std::function<dicom::ResultOptions(const std::string& role, int frame)> name_result;
};

/// Works on a run and writes into the folder `out`; file names begin with `name`. Of a run as long as may be a few
/// frames are in memory. Returns what was done, without patient data: frames from 1, the filling curve, names of result
/// files.
/// @throws Error as `dicom::XaRun`; kInvalidArgument for a frame that the run has not; kIo.
Json predict_run(const dicom::XaRun& run, const std::string& name, const engine::Segmenter& segmenter,
                 const RunJob& job, const std::filesystem::path& out);

}  // namespace cmunet::cli
