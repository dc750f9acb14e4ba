// SPDX-License-Identifier: Apache-2.0
// One vessel fitted to the grey values along one cut.
#pragma once

#include <span>

namespace cmunet::vessel {

/// What a cut shows, at equal steps along it: logarithms of intensity, higher where more was absorbed.
struct CutProfile {
  std::span<const double> attenuation;
  double first_px = 0;  ///< offset of the first value; 0 is the middle between the coarse walls
  double step_px = 0;
  double at(std::size_t i) const { return first_px + static_cast<double>(i) * step_px; }
};

/// What is known of the vessel before looking; standard deviations of independent normal errors.
struct WallPrior {
  double radius_px = 0;   ///< half the distance of the coarse walls
  double wall_sd_px = 1;  ///< of each of the coarse walls
  double density = 0;     ///< attenuation per px of way that the vessel's contrast medium has elsewhere; 0: unknown
  double density_relative_sd = 0;
};

inline constexpr double kSharpened_px = 2.5;

/// What becomes of an edge in the picture.
struct WallBlur {
  double sd_px = 1;  ///< standard deviation of focal spot, detector and pixels together
  /// Share of unsharp masking, which adds so much of the difference to a picture blurred by another kSharpened_px: the
  /// overshoot beside vessels that X-ray systems' edge enhancement leaves. 0: none
  double sharpening = 0;
};

/// Attenuation(t) = background + slope · t + density · P(t − offset; R, blur), P of ChordProfile, sharpened.
struct WallFit {
  double offset_px = 0, radius_px = 0;
  double density = 0;            ///< below 0 for a vessel that absorbs less than what is around it
  double residual_variance = 0;  ///< sum of squares / (values − 5)
  double background = 0, slope = 0;
  double peak = 0;  ///< density · P(0)
  double radius_sd_px = 0, offset_sd_px = 0;
  bool is_settled = false;  ///< false when the iteration ran away: nothing else counts then
};

/// Most probable vessel (Levenberg-Marquardt).
/// Neighbouring values of a profile have related errors, since pixels and detectors spread light: so much is said of
/// them as of a quarter of as many free ones.
/// @param variance  of the profile's values; 0: that of the residuals
/// @param from      where to begin; null: at the coarse walls
/// @pre at least 6 values, blur and wall_sd_px above 0
WallFit fit_walls(const CutProfile& profile, const WallPrior& prior, const WallBlur& blur, double variance = 0,
                  const WallFit* from = nullptr);

}  // namespace cmunet::vessel
