// SPDX-License-Identifier: Apache-2.0
// Between what DICOM says and what `vessel` measures: the calibration of a run, and a measurement as a report.
#pragma once

#include "cmunet/dicom/structured_report.h"
#include "cmunet/dicom/xa.h"
#include "cmunet/vessel/calibration.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {

/// What the run's header says about millimetres in one frame.
vessel::AcquisitionGeometry geometry_of(const dicom::Geometry& geometry, double pixel_aspect_ratio);

/// What a frame's geometry supports (`vessel::calibrate_by_geometry`); pixels only when it supports nothing.
vessel::Calibration calibration_of(const dicom::Geometry& geometry, double pixel_aspect_ratio);

/// The measurement of frame `frame` (0-based) as a report: every segment with two cross-sections or more, in
/// millimetres when it is calibrated, and its lesion (`vessel::has_lesion`). Without any such segment the report is
/// empty, and must not be written.
/// @param catheter_french  the catheter's size where the calibration is by catheter
dicom::ArterialReport arterial_report(const vessel::Measurement& measurement, int frame, double catheter_french = 0);

}  // namespace cmunet::cli
