// SPDX-License-Identifier: Apache-2.0
// The narrowest place of a vessel against what its diameter should be there.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cmunet/vessel/calliper.h"

namespace cmunet::vessel {

/// A straight line of diameter over arc length, px.
struct DiameterLine {
  double at_zero_px = 0, slope = 0;
  double at(double arc_px) const { return at_zero_px + slope * arc_px; }
};

/// Reference diameters as DICOM PS3.17, annex T.4 defines them.
enum class Reference {
  kComputed,      ///< line fitted to the diameters outside the narrowed parts
  kInterpolated,  ///< line through the diameters at two or more markers, by default at 5 % and 95 % of the length
  kMeanLocal,     ///< mean diameter at one or more markers, by default just outside both ends of the narrowed part
};
inline constexpr std::array kReferences{Reference::kComputed, Reference::kInterpolated, Reference::kMeanLocal};
/// "computed", "interpolated", "mean_local".
std::string_view to_string(Reference reference);

/// How narrow the vessel is against one reference. Percentages are up to 100; wider than the reference is below 0; all
/// is NaN where the line is not above 0.
struct Stenosis {
  DiameterLine line;          ///< constant for kMeanLocal
  Estimate reference_px;      ///< the line where the vessel is narrowest
  Estimate diameter_percent;  ///< 1 − MLD / reference; the calibration cancels out of it
  Estimate area_percent;      ///< 1 − (MLD / reference)², of a round cross-section
};

/// What lies beyond the first or the last cross-section of a vessel.
enum class VesselEnd {
  kContinues,  ///< more vessel: a bifurcation, or a place that a user chose
  kFree,       ///< nothing: there contrast medium or the segmentation fades out
  kBorder,     ///< the border of the picture or of the irradiated field, which cuts the vessel off
};
/// "continues", "free_end", "border".
std::string_view to_string(VesselEnd end);

/// A narrow place of one segment: where diameter / computed reference is lowest, so that the thin end of a tapering
/// vessel is none.
struct Narrowing {
  std::size_t sample = 0;                     ///< index of the narrowest sample
  Estimate minimal_px;                        ///< minimal lumen diameter (MLD)
  std::array<Stenosis, 3> against;            ///< by Reference
  std::size_t first = 0, last = 0;            ///< samples of the narrowed part: below 95 % of the computed reference
  Interval length_px;                         ///< of that part; see docs/reference/measurement.md#intervals
  VesselEnd touches = VesselEnd::kContinues;  ///< the end of the vessel that the narrowed part reaches, if it does

  const Stenosis& against_reference(Reference r) const { return against[static_cast<std::size_t>(r)]; }
};

/// What to look for along one vessel.
struct NarrowingSearch {
  VesselEnd start = VesselEnd::kContinues, end = VesselEnd::kContinues;  ///< beyond the first and the last sample
  std::vector<double> markers =
      {};  ///< shares of the length in [0, 1] for kInterpolated and kMeanLocal; empty: defaults
};
struct Narrowings {
  std::optional<Narrowing> narrowest;   ///< of the places with vessel on both sides
  std::vector<Narrowing> at_ends = {};  ///< narrowed parts with none on one side: a vessel that fades out or is cut off
};

/// The narrowest place that has vessel on both sides. A narrowed part that reaches a free end or the border, but for
/// less than half a reference diameter, is put aside: nothing there tells a narrowing from a vessel that is seen no
/// more.
/// @param samples  by rising arc_px
/// @return nothing for samples over less than 10 px: too short for a reference.
/// @throws Error kInvalidArgument for a marker outside [0, 1]. One marker alone leaves kInterpolated constant.
Narrowings find_narrowings(std::span<const Sample> samples, const NarrowingSearch& search = {});

/// Mean diameter; its sd is that of single diameters, since what blurs a wall blurs it everywhere. NaN without samples.
Estimate mean_diameter(std::span<const Sample> samples);

/// The samples without those of the narrowings `at_ends` of the vessel, where it fades out or is cut off; all of them
/// when there are no others.
std::span<const Sample> whole_part(std::span<const Sample> samples, std::span<const Narrowing> at_ends);

}  // namespace cmunet::vessel
