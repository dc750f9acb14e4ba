// SPDX-License-Identifier: Apache-2.0
// Between what DICOM says and what `vessel` measures: a measurement as a report.
#pragma once

#include "cmunet/dicom/structured_report.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::cli {

/// The measurement of frame `frame` (0-based) as a report: every segment with two cross-sections or more, in
/// millimetres when it is calibrated, and its lesion (`vessel::has_lesion`). Segments run from their wide end to the
/// thin one where the last third is 1.1 times as wide as the first or more, which is then the start, and otherwise as
/// they were measured: arteries taper, but nothing here knows where they come from. Without any such segment the report
/// is empty, and must not be written.
/// @param catheter_french  the catheter's size where the calibration is by catheter
dicom::ArterialReport arterial_report(const vessel::Measurement& measurement, int frame, double catheter_french = 0);

}  // namespace cmunet::cli
