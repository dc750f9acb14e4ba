// SPDX-License-Identifier: Apache-2.0
// What `cmunet measure` works on: a picture or a frame of a run, its vessels, and its calibration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/cli/command.h"
#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"
#include "cmunet/vessel/calibration.h"
#include "cmunet/vessel/opacification.h"

namespace cmunet::cli {

/// Flags that say how many millimetres a pixel has. Points are y, x in pixels.
struct CalibrationFlags {
  std::vector<double> spacing_mm;         ///< row[, column]
  double spacing_sd_percent = 0;          ///< of `spacing_mm`
  std::vector<double> imager_spacing_mm;  ///< row[, column]
  std::optional<double> magnification, sid_mm, sod_mm;
  std::optional<double> catheter_french;
  std::vector<double> catheter_points;  ///< y, x, y, x: two clicks on opposite walls
  std::vector<double> catheter_along;   ///< y, x, y, x: two clicks on the axis; walls are detected
  std::string catheter_part = "shaft";
};
void add_calibration_flags(CLI::App& app, CalibrationFlags& flags);

/// An option of `least` to `most` numbers in one word, with commas between them: what follows it is no part of it.
/// @return to say more about it. The command line is refused when it holds another number of them, or no numbers.
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<double>& numbers, std::size_t least,
                         std::size_t most, const std::string& help);

struct MeasureInputFlags {
  std::string image;  ///< picture, DICOM file, or folder or DICOMDIR with one run; empty: a mask is measured alone
  std::string mask;   ///< picture, any value but 0 is vessel, or DICOM segmentation
  std::string probability;  ///< 8-bit map, 255 = certain
  std::string model;        ///< used without the two above; empty for the default model
  std::string frame = "best";
  bool identify = false;  ///< also say which DICOM object was measured
};

/// One picture on its own grid, with its vessels.
struct Picture {
  image::ImageF grey;   ///< [0, 255]; empty when there is none
  bool is_log = false;  ///< its values are proportional to the logarithm of the intensity
  std::optional<image::Mask> mask;
  std::optional<image::ImageF> probability;      ///< one of the two is there
  image::Mask field;                             ///< 1 where it was irradiated; empty: everywhere
  vessel::AcquisitionGeometry geometry;          ///< of a DICOM header; empty otherwise
  std::optional<vessel::Opacification> filling;  ///< of the run, when it chose the frame
  Json source;                                   ///< what this is, without patient data
  std::string title;                             ///< file name unless it names the patient, and frame of a run
};

/// What is segmented is shown to the model with square pixels, by the flags' spacing, else by the header.
/// @throws Error as codec and dicom do; kInvalidArgument when picture and mask differ in size, nothing is named, a
/// folder holds no or several runs, or a segmentation belongs to another run or has no mask of the frame.
/// With `common.dry_run` the model is opened and not run: the probabilities are 0.
Picture read_picture(const MeasureInputFlags& flags, const CalibrationFlags& calibration, const CommonOptions& common);

/// @throws Error kInvalidArgument for a point (y, x) that does not lie in the picture, naming the flag.
void check_in_picture(const Picture& picture, const image::PointF& point, const std::string& flag);

/// By the flags, else by the header, else pixels only.
/// @throws Error kInvalidArgument for flags that contradict each other or lack their partner.
vessel::Calibration calibrate(const CalibrationFlags& flags, const Picture& picture);

}  // namespace cmunet::cli
