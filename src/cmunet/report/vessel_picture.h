// SPDX-License-Identifier: Apache-2.0
// A vessel measurement drawn: over the angiogram, and as a curve of diameter along a segment. SVG as of svg.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cmunet/image/image.h"
#include "cmunet/vessel/measure.h"

namespace cmunet::report {

/// A narrowing of at least so many percent of the diameter is marked as a lesion.
inline constexpr double kLesionPercent = 30;
/// True when the segment's narrowing against the chosen reference is that tight.
bool has_lesion(const vessel::Measurement& measurement, std::size_t segment);

/// The unit of everything that people read: millimetres with a calibration, else pixels.
struct LengthUnit {
  double per_px = 1;
  std::string name = "px";
  int digits = 1;
};
LengthUnit unit_of(const vessel::Measurement& measurement);

/// A part of the picture, in pixels.
struct Window {
  int top = 0, left = 0, height = 0, width = 0;
};
/// The surroundings of the segment's lesion: twice its length, at least twelve reference diameters, within the picture.
Window window_around_narrowing(const vessel::Measurement& measurement, std::size_t segment);

/// The angiogram with lumen contours, centre lines coloured by diameter, and lesions: the area between the lumen and
/// what the reference says filled, the narrowest place crossed by a bar. Numbers are those of the segments, from 1.
/// @param grey     [0, 255]; may be empty, the background is then dark
/// @param labelled  segments that carry their number
/// @throws Error kInvalidArgument when the picture has another size than the measurement.
std::string vessel_picture(const vessel::Measurement& measurement, const image::Image<std::uint8_t>& grey,
                           const Window& window, std::span<const std::size_t> labelled);

/// Diameter over the way along one segment, with its 95 % band, the reference line and the lesion; the right axis is in
/// pixels when the left one is in millimetres.
std::string diameter_curve(const vessel::Measurement& measurement, std::size_t segment);

}  // namespace cmunet::report
