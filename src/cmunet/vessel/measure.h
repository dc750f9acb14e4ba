// SPDX-License-Identifier: Apache-2.0
// Quantitative analysis of the vessels of one picture: contours, centre lines, diameters, narrowings.
// docs/reference/measurement.md has the formulas and how accurate they are. Not for clinical use.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cmunet/image/contour.h"
#include "cmunet/image/image.h"
#include "cmunet/vessel/calibration.h"
#include "cmunet/vessel/calliper.h"
#include "cmunet/vessel/centreline.h"
#include "cmunet/vessel/stenosis.h"
#include "cmunet/vessel/wall.h"

namespace cmunet::vessel {

/// One lesion path: along the centre lines from the point nearest to `from` to the one nearest to `to`.
struct PathEnds {
  image::PointF from, to;  ///< image coordinates
};

struct MeasureOptions {
  Calibration calibration = {};                 ///< pixels only by default
  std::optional<PathEnds> path = std::nullopt;  ///< measure this path alone; absent: every segment
  Reference reference = Reference::kComputed;   ///< which of the three counts as the result
  std::vector<double> markers = {};             ///< see `NarrowingSearch`
  image::Mask field = {};    ///< 1 where the picture was irradiated; empty: everywhere. Its border cuts vessels off
  Angiogram angiogram = {};  ///< walls are found in it, around those of the mask; empty: walls are the mask's
};

/// A vessel between two nodes of the tree, or the path asked for. Lengths are in px as `Calibration` defines it.
struct MeasuredSegment {
  std::vector<image::PointF> centreline;  ///< from node to node, image coordinates
  std::vector<Sample> samples;            ///< cross-sections, by rising `arc_px`
  Estimate length_px;                     ///< of the centre line; its sd is that of the places of its ends
  Estimate mean_diameter_px;              ///< of the `whole_part` of the samples; NaN without any
  VesselEnd start = VesselEnd::kContinues, end = VesselEnd::kContinues;
  std::optional<Narrowing> narrowing = std::nullopt;  ///< the narrowest place with vessel on both sides; absent where
                                                      ///< there is none or the segment is too short
  std::vector<Narrowing> excluded = {};               ///< narrowed parts that reach an end of the vessel: no lesions
};

/// In every output a narrowing with vessel on both sides is a lesion from so many percent of the diameter on, when the
/// lower end of its 95 % interval is half of that at least, and the reference diameter is kLesionReference_px at least:
/// in thinner vessels a pixel is a fifth of the width, and of a mask's edge the grid may take one.
inline constexpr double kLesionPercent = 30;
inline constexpr double kLesionReference_px = 5.5;
bool is_lesion(const Narrowing& narrowing, Reference reference);
/// True for one of so many percent that is none, since it reaches an end of the vessel.
bool is_excluded(const Narrowing& narrowing, Reference reference);
bool has_lesion(const MeasuredSegment& segment, Reference reference);

/// How many lesions there are, and how many narrowings as tight are none, and why.
struct LesionCount {
  int lesions = 0, at_free_ends = 0, at_border = 0;
};

struct Measurement {
  Calibration calibration;
  Reference reference = Reference::kComputed;
  int height = 0, width = 0;                         ///< of the picture
  image::Mask mask;                                  ///< what was measured, small holes filled
  std::vector<std::vector<image::PointF>> contours;  ///< lumen borders, image coordinates
  std::vector<Node> nodes;                           ///< ends and bifurcations
  std::vector<MeasuredSegment> segments;             ///< longest first
  std::optional<WallSearch> walls = std::nullopt;    ///< how walls were found in the picture; absent: the mask's
  double mean_diameter_px = 0;  ///< the paper's, with the aspect (vessel/diameter.h); NaN for an empty mask

  /// Index of the segment with the tightest lesion against `reference`; without a lesion of that with the tightest
  /// narrowing; absent when none has one.
  std::optional<std::size_t> tightest() const;
  LesionCount count_lesions() const;
};

/// Walls are the mask's own edge, averaged over its pixel steps.
/// @param mask  0 or 1, at the picture's native resolution
/// @throws Error kInvalidArgument for an empty image, a value other than 0 and 1, or options out of range; kNotFound
/// when there is no way between the ends of the path.
Measurement measure_vessels(const image::Mask& mask, const MeasureOptions& options = {});

/// Walls are where the probability is 0.5.
/// @param probability  [0, 1], at the picture's native resolution
Measurement measure_vessels(const image::ImageF& probability, const MeasureOptions& options = {});

/// In pixels: ±1.96 sd, not below 0.
Interval in_px(const Estimate& length_px);
/// In millimetres: both uncertainties, of the pixels and of the calibration, added in quadrature. Absent without
/// calibration.
std::optional<Interval> in_mm(const Interval& length_px, const Calibration& calibration);
std::optional<Interval> in_mm(const Estimate& length_px, const Calibration& calibration);
/// In millimetres where there is a calibration, else in pixels.
Interval in_unit(const Interval& length_px, const Calibration& calibration);
Interval in_unit(const Estimate& length_px, const Calibration& calibration);
/// Of a stenosis, from which the calibration cancels: within 0…100 %, but for a value that is below.
Interval in_percent(const Estimate& stenosis_percent);

}  // namespace cmunet::vessel
