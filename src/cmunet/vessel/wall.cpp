// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/wall.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cmunet/vessel/bilinear.h"
#include "cmunet/vessel/median.h"
#include "cmunet/vessel/wall_chain.h"
#include "cmunet/vessel/wall_fit.h"

namespace cmunet::vessel {
namespace {

using image::ImageF;
using image::PointF;

constexpr float kWhite = 255, kDarkest = 1;
constexpr double kStep_px = 0.5;   // along a cut
constexpr double kAlong_px = 0.5;  // between the values that are averaged along the vessel
constexpr int kAlongReach = 2;     // of them to either side
// Background beside the vessel: as far as it is looked at; the least that a slope can be told from; and what another
// vessel's blur covers of it.
constexpr double kBeside_px = 4, kLeastBeside_px = 2.5, kFromNeighbour_px = 1;
// The band around the coarse walls: one standard deviation of theirs, and at most.
constexpr double kWallSd_px = 2.2, kBand_px = 3;
// Focal spot, detector and pixels together: expected, and the limits of what is looked for.
constexpr double kBlur_px = 1.0, kLeastBlur_px = 0.5, kMostBlur_px = 2.5;
// What it is found from: cuts of wide vessels whose peak² is so many times the variance of the noise.
constexpr double kMostSharpening = 1.0;
constexpr int kBlurTurns = 2, kBlurRounds = 5;
constexpr std::size_t kBlurCuts = 24, kLeastBlurCuts = 10;
constexpr double kWide_px = 5, kClear = 100;
constexpr double kDensityReach_px = 40;      // of the vessel whose median density is expected of a cut
constexpr double kDensityRelativeSd = 0.25;  // vessels are not round, and not equally filled
constexpr double kLeastSignal = 3;           // peak, over the noise of a profile's values
constexpr double kMostMisfit = 0.12;         // root mean square of what the fit leaves, over its peak
// A mask's own sd is that of its grid, as if it were drawn without error; in wider vessels less will do.
constexpr double kSureShare = 0.1;
constexpr double kBend_per_px = 0.1;  // variance that slopes of a radius change by
constexpr double kRelatedCuts = 7;    // half a pixel apart, averaged over ±1 px
constexpr double kGap_px = 2;         // a longer one parts a vessel

struct Cut {
  Sample* sample = nullptr;
  std::vector<double> attenuation;
  double first_px = 0;
  PointF across;  // image coordinates per px of way, from left to right
  std::optional<WallFit> fit = std::nullopt;

  CutProfile profile() const { return {attenuation, first_px, kStep_px}; }
};

PointF moved(const PointF& p, const PointF& direction, double way_px) {
  return {p.y + way_px * direction.y, p.x + way_px * direction.x};
}

Cut cut_at(Sample& sample) {
  Cut cut{.sample = &sample, .attenuation = {}, .first_px = 0, .across = {}};
  const double d = std::max(1e-6, sample.diameter_px);
  cut.across = {(sample.right.y - sample.left.y) / d, (sample.right.x - sample.left.x) / d};
  return cut;
}

// Reads profiles out of the picture.
class Profiler {
 public:
  Profiler(const Angiogram& angiogram, const Lumen& lumen, double aspect)
      : lumen_(lumen), aspect_(aspect), values_(angiogram.grey), is_log_(angiogram.is_log) {
    CMUNET_CHECK(!values_.empty(), ErrorCode::kInvalidArgument, "[measure] no angiogram to find walls in");
    image::check_same_size(lumen.mask, values_, "measure");
  }

  // Makes attenuations of the grey values. True when most vessels are brighter than what is beside them: then the
  // picture is taken as the negative of an angiogram.
  bool take_logarithms(const std::vector<std::vector<Cut>>& cuts) {
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

  // Samples the grey values; false where there is no background on both sides.
  bool read(Cut& cut) const {
    const double half = cut.sample->diameter_px / 2;
    const double left = background_px(cut, -half), right = background_px(cut, half);
    if (left < kLeastBeside_px || right < kLeastBeside_px) return false;
    // Along the vessel, at right angles to the cut in the plane.
    const PointF along{-cut.across.x / aspect_, cut.across.y * aspect_};
    const int first = static_cast<int>(std::ceil(-(half + left) / kStep_px));
    const int last = static_cast<int>(std::floor((half + right) / kStep_px));
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

 private:
  // Of the grey value in the middle to those beside the vessel.
  double contrast_of(const Cut& cut) const {
    const double reach = cut.sample->diameter_px / 2 + kLeastBeside_px;
    const double beside = bilinear_at(values_, moved(cut.sample->centre, cut.across, reach)) +
                          bilinear_at(values_, moved(cut.sample->centre, cut.across, -reach));
    return bilinear_at(values_, cut.sample->centre) - beside / 2;
  }

  // How much background there is beyond the wall at `wall_px` before another vessel or the border.
  double background_px(const Cut& cut, double wall_px) const {
    const double sign = wall_px < 0 ? -1 : 1;
    for (double way = 0; way < kBeside_px; way += kStep_px) {
      const PointF p = moved(cut.sample->centre, cut.across, wall_px + sign * way);
      const int y = static_cast<int>(std::lround(p.y)), x = static_cast<int>(std::lround(p.x));
      if (!lumen_.is_seen(y, x)) return way - kFromNeighbour_px;
      if (way > kFromNeighbour_px && lumen_.mask.at(y, x) != 0) return way - kFromNeighbour_px;
    }
    return kBeside_px;
  }

  const Lumen& lumen_;
  double aspect_;
  ImageF values_;
  bool is_log_;
};

WallPrior prior_of(const Cut& cut) { return {.radius_px = cut.sample->diameter_px / 2, .wall_sd_px = kWallSd_px}; }

// Clear cuts of wide vessels, evenly chosen. Thin ones cannot tell the blur: a blurred thin one and a sharp wider one
// look the same.
std::vector<const Cut*> blur_cuts(const std::vector<Cut*>& cuts) {
  std::vector<Cut*> wide;
  for (Cut* cut : cuts) {
    if (cut->sample->diameter_px >= kWide_px) wide.push_back(cut);
  }
  std::vector<const Cut*> clear;
  const std::size_t every = std::max<std::size_t>(1, wide.size() / kBlurCuts);
  for (std::size_t i = 0; i < wide.size(); i += every) {
    Cut& cut = *wide[i];
    cut.fit = fit_walls(cut.profile(), prior_of(cut), {.sd_px = kBlur_px});
    const WallFit& fit = *cut.fit;
    const bool is_clear = fit.is_settled && fit.density > 0 && fit.peak * fit.peak > kClear * fit.residual_variance;
    if (is_clear) clear.push_back(&cut);
  }
  return clear;
}

// Where within [low, high] a function with one valley is lowest: golden section.
template <typename Cost>
double lowest(double low, double high, int rounds, const Cost& cost) {
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low), at_a = cost(a), at_b = cost(b);
  for (int round = 0; round < rounds; ++round) {
    if (at_a < at_b) {
      high = b, b = a, at_b = at_a, a = high - kGolden * (high - low), at_a = cost(a);
    } else {
      low = a, a = b, at_a = at_b, b = low + kGolden * (high - low), at_b = cost(b);
    }
  }
  return (low + high) / 2;
}

// With which the cuts leave the least.
WallBlur find_blur(const std::vector<Cut*>& cuts) {
  const std::vector<const Cut*> clear = blur_cuts(cuts);
  if (clear.size() < kLeastBlurCuts) return {.sd_px = kBlur_px};
  const auto cost = [&clear](const WallBlur& blur) {
    double sum = 0;
    for (const Cut* cut : clear) {
      sum += std::log(1e-12 + fit_walls(cut->profile(), prior_of(*cut), blur, 0, &*cut->fit).residual_variance);
    }
    return sum;
  };
  WallBlur blur{.sd_px = kBlur_px, .sharpening = 0};
  // In turn: the two hardly depend on each other.
  for (int turn = 0; turn < kBlurTurns; ++turn) {
    blur.sd_px = lowest(kLeastBlur_px, kMostBlur_px, kBlurRounds, [&](double sd_px) {
      return cost({sd_px, blur.sharpening});
    });
    blur.sharpening = lowest(0, kMostSharpening, kBlurRounds, [&](double share) { return cost({blur.sd_px, share}); });
  }
  return blur;
}

// The mean density of the vessel around, from its other cuts; 0 when there are few.
double density_around(const std::vector<Cut>& cuts, std::size_t i) {
  std::vector<double> densities;
  for (std::size_t k = 0; k < cuts.size(); ++k) {
    const bool is_near = std::abs(cuts[k].sample->arc_px - cuts[i].sample->arc_px) <= kDensityReach_px;
    if (is_near && cuts[k].fit && cuts[k].fit->density > 0) densities.push_back(cuts[k].fit->density);
  }
  return densities.size() < 10 ? 0 : median(std::move(densities));
}

bool is_believable(const Cut& cut, double noise_variance) {
  const WallFit& fit = *cut.fit;
  const double half = cut.sample->diameter_px / 2;
  const double shift = std::abs(fit.offset_px) + std::abs(fit.radius_px - half);
  return fit.is_settled && fit.density > 0 && shift <= kBand_px &&
         fit.peak * fit.peak >= kLeastSignal * kLeastSignal * noise_variance &&
         fit.residual_variance <= kMostMisfit * kMostMisfit * fit.peak * fit.peak + 4 * noise_variance;
}

// Where the joined course says that the walls are; false, and nothing happens, where that is not sure enough.
bool move_walls(Cut& cut, const Estimate& radius) {
  Sample& s = *cut.sample;
  if (2 * radius.sd >= std::max(s.sd_px, kSureShare * s.diameter_px)) return false;
  const double offset_px = cut.fit->offset_px;
  s.left = moved(s.centre, cut.across, offset_px - radius.value);
  s.right = moved(s.centre, cut.across, offset_px + radius.value);
  s.centre = moved(s.centre, cut.across, offset_px);
  s.diameter_px = 2 * radius.value;
  s.sd_px = 2 * radius.sd;
  s.is_from_image = true;
  return true;
}

// Joins believable cuts without a gap between them, and moves their walls; returns of how many.
int move_joined(std::span<Cut*> run) {
  std::vector<Estimate> radii;
  for (const Cut* cut : run) radii.push_back({cut->fit->radius_px, std::max(1e-3, cut->fit->radius_sd_px)});
  const double way_px = run.back()->sample->arc_px - run.front()->sample->arc_px;
  const double spacing_px = run.size() > 1 ? way_px / static_cast<double>(run.size() - 1) : 1;
  const std::vector<Estimate> joined = joined_along(radii, spacing_px, kBend_per_px, kRelatedCuts);
  int moved_cuts = 0;
  for (std::size_t i = 0; i < run.size(); ++i) moved_cuts += move_walls(*run[i], joined[i]) ? 1 : 0;
  return moved_cuts;
}

// Fits each cut on its own; returns the noise of the picture's profiles, the median of what the fits leave.
double fit_alone(const std::vector<Cut*>& cuts, const WallBlur& blur) {
  std::vector<double> variances;
  for (Cut* cut : cuts) {
    cut->fit = fit_walls(cut->profile(), prior_of(*cut), blur);
    variances.push_back(cut->fit->residual_variance);
  }
  return median(std::move(variances));
}

// Fits the cuts of one vessel again, now that its density is known, and joins them; returns how many were moved.
int fit_together(std::vector<Cut>& cuts, const WallBlur& blur, double noise_variance) {
  std::vector<WallPrior> priors;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    WallPrior& prior = priors.emplace_back(prior_of(cuts[i]));
    prior.density = density_around(cuts, i);
    prior.density_relative_sd = kDensityRelativeSd;
  }
  int moved_cuts = 0;
  std::vector<Cut*> run;
  const auto finish_run = [&] {
    if (!run.empty()) moved_cuts += move_joined(run);
    run.clear();
  };
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    Cut& cut = cuts[i];
    const double variance = (cut.fit->residual_variance + noise_variance) / 2;
    cut.fit = fit_walls(cut.profile(), priors[i], blur, variance, &*cut.fit);
    if (!is_believable(cut, noise_variance)) continue;
    if (!run.empty() && cut.sample->arc_px - run.back()->sample->arc_px > kGap_px) finish_run();
    run.push_back(&cut);
  }
  finish_run();
  return moved_cuts;
}

}  // namespace

WallSearch find_walls(const Angiogram& angiogram, const Lumen& lumen, std::span<std::vector<Sample>> vessels,
                      double aspect) {
  Profiler profiler(angiogram, lumen, aspect);
  std::vector<std::vector<Cut>> cuts;
  for (std::vector<Sample>& vessel : vessels) {
    std::vector<Cut>& of_vessel = cuts.emplace_back();
    for (Sample& sample : vessel) of_vessel.push_back(cut_at(sample));
  }
  WallSearch result;
  for (const auto& of_vessel : cuts) result.kept += static_cast<int>(of_vessel.size());
  result.vessels_are_bright = profiler.take_logarithms(cuts);
  std::vector<Cut*> readable;
  for (auto& of_vessel : cuts) {
    std::erase_if(of_vessel, [&](Cut& cut) { return !profiler.read(cut); });
    for (Cut& cut : of_vessel) readable.push_back(&cut);
  }
  if (readable.empty()) return result;
  const WallBlur blur = find_blur(readable);
  result.blur_px = blur.sd_px, result.sharpening = blur.sharpening;
  const double noise_variance = fit_alone(readable, blur);
  for (auto& of_vessel : cuts) result.from_image += fit_together(of_vessel, blur, noise_variance);
  result.kept -= result.from_image;
  return result;
}

}  // namespace cmunet::vessel
