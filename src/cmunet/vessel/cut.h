// SPDX-License-Identifier: Apache-2.0
// Cross-sections with the grey values along them.
#pragma once

#include <optional>
#include <vector>

#include "cmunet/image/image.h"
#include "cmunet/vessel/calliper.h"
#include "cmunet/vessel/lumen.h"
#include "cmunet/vessel/wall_fit.h"

namespace cmunet::vessel {

/// The angiogram that a mask belongs to.
struct Angiogram {
  image::ImageF grey;   ///< [0, 255]; empty: there is none
  bool is_log = false;  ///< grey values are proportional to the logarithm of the intensity already
};

/// A cross-section of a mask, and what the picture shows along it.
struct Cut {
  Sample* sample = nullptr;
  double half_px = 0;  ///< half the distance of the mask's walls
  std::vector<double> attenuation = {};
  double first_px = 0;
  image::PointF across = {};  ///< image coordinates per px of way, from left to right
  std::optional<WallFit> fit = std::nullopt;
  bool is_believed = false;

  CutProfile profile() const;
  /// Walls around the mask's, or around those of a vessel of another radius in their middle.
  WallPrior prior() const { return prior_around(half_px); }
  WallPrior prior_around(double radius_px) const;
};

/// @param sample  outlives the cut
Cut cut_at(Sample& sample);

image::PointF moved(const image::PointF& p, const image::PointF& direction, double way_px);

/// Reads profiles out of a picture.
class Profiler {
 public:
  /// @throws Error kInvalidArgument for no picture, or one of another size than the mask's.
  Profiler(const Angiogram& angiogram, const Lumen& lumen, double aspect);

  /// Makes attenuations of the grey values. True when most vessels are brighter than what is beside them: then the
  /// picture is taken as the negative of an angiogram.
  bool take_logarithms(const std::vector<std::vector<Cut>>& cuts);

  /// Samples the grey values, mean over ±1 px along the vessel, up to 4 px beside it; false where there is no
  /// background on both sides.
  bool read(Cut& cut) const;

 private:
  double contrast_of(const Cut& cut) const;
  double background_px(const Cut& cut, double wall_px) const;

  const Lumen& lumen_;
  double aspect_;
  image::ImageF values_;
  bool is_log_;
};

}  // namespace cmunet::vessel
