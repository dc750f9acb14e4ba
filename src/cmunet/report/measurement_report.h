// SPDX-License-Identifier: Apache-2.0
// A vessel measurement for people and for programs: a page, tables, a JSON document. Lengths are in pixels, and in
// millimetres only when the measurement is calibrated.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"
#include "cmunet/report/html.h"
#include "cmunet/report/table.h"
#include "cmunet/report/vessel_picture.h"
#include "cmunet/vessel/measure.h"
#include "cmunet/vessel/opacification.h"

namespace cmunet::report {

/// What the page shows and says besides the measurement.
struct MeasurementPage {
  PageHead head{"Vessel measurement", "", ""};
  std::optional<vessel::Opacification> filling = std::nullopt;  ///< of the run that the frame was chosen from
  image::Image<std::uint8_t> grey;                              ///< the angiogram, [0, 255]; empty when there is none
  Json source = Json::object();  ///< what was measured: image, frame, mask or model …; an object, may be nested
};

/// One row per cross-section of every segment. Columns ending on _mm only with a calibration.
Table profile_table(const vessel::Measurement& measurement);
/// One row per segment that has cross-sections, in the unit of the page.
Table segment_table(const vessel::Measurement& measurement);
/// The narrowest place of a segment by the three definitions of the reference. The segment must have a narrowing.
Table reference_table(const vessel::Measurement& measurement, std::size_t segment);

/// docs/reference/measurement.md lists the keys.
Json measurement_json(const vessel::Measurement& measurement, const Json& source);
/// A few lines for a terminal.
std::string measurement_text(const vessel::Measurement& measurement);
/// One self-contained page, see html.h.
/// @throws Error kInvalidArgument when the picture has another size than the measurement.
std::string measurement_html(const vessel::Measurement& measurement, const MeasurementPage& page);

/// Writes measurements.json, profiles.csv (`profile_table`) and report.html into `dir`, each atomically; the folder is
/// made when it is not there. @throws Error kIo; as `measurement_html`.
void write_measurement(const std::filesystem::path& dir, const vessel::Measurement& measurement,
                       const MeasurementPage& page);

}  // namespace cmunet::report
