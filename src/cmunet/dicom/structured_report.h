// SPDX-License-Identifier: Apache-2.0
// A vessel measurement as a DICOM Structured Report: Quantitative Arterial Analysis, PS3.16, TID 3213 with 3214, 3205
// and 3218, as Comprehensive SR. docs/reference/dicom.md lists the rows that are filled.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/dicom/result_object.h"
#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"

namespace cmunet::dicom {

/// A number and half the width of its 95 % interval; NaN where there is none. A value that is NaN is left out.
struct ReportedValue {
  double value = 0;
  double uncertainty = 0;
};

/// How millimetres were found: Context Group 3452, and two that it has not.
enum class CalibrationMethod {
  kIsocentre,     ///< from the magnification in the isocentre's plane
  kCatheter,      ///< from a catheter of known size
  kPixelSpacing,  ///< the image's own Pixel Spacing
  kSpacingByUser,
};

struct ReportedCalibration {
  CalibrationMethod method = CalibrationMethod::kPixelSpacing;
  image::Spacing mm_per_px;
  double relative_uncertainty = 0;  ///< half the width of the 95 % interval over the value
  double catheter_french = 0;       ///< for kCatheter
  std::string note;                 ///< for people
};

/// How the reference diameter was found: Context Group 3465, PS3.17, T.4.
enum class ReferenceMethod { kCurveFitted, kInterpolatedLocal, kMeanLocal };

/// A narrowed place. Lengths and positions in the report's unit.
struct ReportedLesion {
  ReferenceMethod reference_method = ReferenceMethod::kCurveFitted;
  ReportedValue minimal_diameter, reference_diameter;
  ReportedValue diameter_stenosis_percent;
  ReportedValue area_stenosis_percent;
  ReportedValue length;
  double proximal_border = 0, distal_border = 0;    ///< along the midline from between the first contour points
  double site_of_minimum = 0, site_of_maximum = 0;  ///< of the diameter between the borders, likewise
};

/// A vessel between two bifurcations or ends. Its start is where its contours begin, which need not be the anatomical
/// proximal end; the report says so.
struct ReportedSegment {
  std::vector<image::PointF> left_contour, right_contour;  ///< two points or more each; pixel centres at whole numbers
  ReportedValue length, mean_diameter, minimal_diameter, maximal_diameter;
  std::optional<ReportedLesion> lesion;
};

/// What was measured on one frame. Lengths are in millimetres with a calibration, in pixels without: the report then
/// says so and names no template, since TID 3213 knows millimetres alone.
struct ArterialReport {
  int frame = 0;  ///< 0-based, of the source
  std::optional<ReportedCalibration> calibration;
  std::vector<ReportedSegment> segments;  ///< one or more
};

/// Writes the report, atomically. It is complete, unverified and preliminary: a person has to look at it.
/// @throws Error kInvalidArgument without segments, for a contour of fewer than two points or a frame that the source
/// has not; kIo.
void write_structured_report(const std::filesystem::path& path, const ResultSource& source,
                             const ArterialReport& report, const ResultOptions& options = {});

}  // namespace cmunet::dicom
