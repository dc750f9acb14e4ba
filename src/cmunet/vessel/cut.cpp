// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/cut.h"

#include <algorithm>
#include <cmath>

#include "cmunet/vessel/bilinear.h"
#include "cmunet/vessel/median.h"

namespace cmunet::vessel {
namespace {

using image::PointF;

constexpr float kWhite = 255, kDarkest = 1;
constexpr double kStep_px = 0.5;   // along a cut
constexpr double kAlong_px = 0.5;  // between the values that are averaged along the vessel
constexpr int kAlongReach = 2;     // of them to either side
// Background beside the vessel: as far as it is looked at; the least that a slope can be told from; and what another
// vessel's blur covers of it.
constexpr double kBeside_px = 4, kLeastBeside_px = 2.5, kFromNeighbour_px = 1;
constexpr double kWallSd_px = 2.2;  // one standard deviation of the mask's walls

}  // namespace

CutProfile Cut::profile() const { return {attenuation, first_px, kStep_px}; }

WallPrior Cut::prior_around(double radius_px) const { return {.radius_px = radius_px, .wall_sd_px = kWallSd_px}; }

PointF moved(const PointF& p, const PointF& direction, double way_px) {
  return {p.y + way_px * direction.y, p.x + way_px * direction.x};
}

Cut cut_at(Sample& sample) {
  const double d = std::max(1e-6, sample.diameter_px);
  return {.sample = &sample,
          .half_px = sample.diameter_px / 2,
          .across = {(sample.right.y - sample.left.y) / d, (sample.right.x - sample.left.x) / d}};
}

Profiler::Profiler(const Angiogram& angiogram, const Lumen& lumen, double aspect)
    : lumen_(lumen), aspect_(aspect), values_(angiogram.grey), is_log_(angiogram.is_log) {
  CMUNET_CHECK(!values_.empty(), ErrorCode::kInvalidArgument, "[measure] no angiogram to find walls in");
  image::check_same_size(lumen.mask, values_, "measure");
}

bool Profiler::take_logarithms(const std::vector<std::vector<Cut>>& cuts) {
  std::vector<double> contrasts;
  for (const auto& of_vessel : cuts) {
    for (const Cut& cut : of_vessel) contrasts.push_back(contrast_of(cut));
  }
  const bool is_bright = !contrasts.empty() && median(std::move(contrasts)) > 0;
  for (float& value : values_) {
    const float dark = is_bright ? kWhite - value : value;
    value = is_log_ ? -dark : -std::log(std::max(dark, kDarkest));
  }
  return is_bright;
}

bool Profiler::read(Cut& cut) const {
  const double left = background_px(cut, -cut.half_px), right = background_px(cut, cut.half_px);
  if (left < kLeastBeside_px || right < kLeastBeside_px) return false;
  // Along the vessel, at right angles to the cut in the plane.
  const PointF along{-cut.across.x / aspect_, cut.across.y * aspect_};
  const int first = static_cast<int>(std::ceil(-(cut.half_px + left) / kStep_px));
  const int last = static_cast<int>(std::floor((cut.half_px + right) / kStep_px));
  cut.first_px = first * kStep_px;
  for (int k = first; k <= last; ++k) {
    double sum = 0;
    for (int s = -kAlongReach; s <= kAlongReach; ++s) {
      const PointF p = moved(cut.sample->centre, along, s * kAlong_px);
      sum += bilinear_at(values_, moved(p, cut.across, k * kStep_px));
    }
    cut.attenuation.push_back(sum / (2 * kAlongReach + 1));
  }
  return true;
}

// Of the grey value in the middle to those beside the vessel.
double Profiler::contrast_of(const Cut& cut) const {
  const double reach = cut.half_px + kLeastBeside_px;
  const double beside = bilinear_at(values_, moved(cut.sample->centre, cut.across, reach)) +
                        bilinear_at(values_, moved(cut.sample->centre, cut.across, -reach));
  return bilinear_at(values_, cut.sample->centre) - beside / 2;
}

// How much background there is beyond the wall at `wall_px` before another vessel or the border.
double Profiler::background_px(const Cut& cut, double wall_px) const {
  const double sign = wall_px < 0 ? -1 : 1;
  for (double way = 0; way < kBeside_px; way += kStep_px) {
    const PointF p = moved(cut.sample->centre, cut.across, wall_px + sign * way);
    const int y = static_cast<int>(std::lround(p.y)), x = static_cast<int>(std::lround(p.x));
    if (!lumen_.is_seen(y, x)) return way - kFromNeighbour_px;
    if (way > kFromNeighbour_px && lumen_.mask.at(y, x) != 0) return way - kFromNeighbour_px;
  }
  return kBeside_px;
}

}  // namespace cmunet::vessel
