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

/// The whole angiogram with lumen contours, centre lines coloured by diameter, and lesions: the area between the lumen
/// and what the reference says filled, the narrowest place crossed by a bar. Numbers are those of the segments, from 1.
/// Narrowings of that size at the ends of vessels, which are no lesions, are crossed by a broken bar.
/// @param grey     [0, 255]; may be empty, the background is then dark
/// @param labelled  segments that carry their number; one with a lesion always does
/// @throws Error kInvalidArgument when the picture has another size than the measurement.
std::string vessel_picture(const vessel::Measurement& measurement, const image::Image<std::uint8_t>& grey,
                           std::span<const std::size_t> labelled);

/// The same around the lesion of one segment, for half the width of a page, without the scale of colours.
std::string lesion_picture(const vessel::Measurement& measurement, const image::Image<std::uint8_t>& grey,
                           std::size_t segment);

/// Diameter over the way along one segment, with its 95 % band, the reference line and the lesion; the right axis is in
/// pixels when the left one is in millimetres.
std::string diameter_curve(const vessel::Measurement& measurement, std::size_t segment);

}  // namespace cmunet::report
