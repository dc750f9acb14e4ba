// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/wall.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "cmunet/vessel/median.h"
#include "cmunet/vessel/wall_blur.h"
#include "cmunet/vessel/wall_chain.h"

namespace cmunet::vessel {
namespace {

constexpr double kBand_px = 3;               // from where the walls are expected to where they may be found
constexpr int kPasses = 3;                   // around the mask, which is thereby found to be too wide
constexpr int kTurns = 4;                    // inwards between neighbours
constexpr double kDensityReach_px = 40;      // of the vessel whose median density is expected of a cut
constexpr double kDensityRelativeSd = 0.25;  // vessels are not round, and not equally filled
constexpr double kLeastSignal = 3;           // peak, over the noise of a profile's values
constexpr double kMostMisfit = 0.12;         // root mean square of what the fit leaves, over its peak
// A mask's own sd is that of its grid, as if it were drawn without error; in wider vessels less will do.
constexpr double kSureShare = 0.1;
constexpr double kBend_per_px = 0.1;  // variance that slopes of a radius change by
constexpr double kRelatedCuts = 7;    // half a pixel apart, averaged over ±1 px
constexpr double kGap_px = 2;         // a longer one parts a vessel
constexpr double kBridge_px = 20;     // over which believed cuts at both ends lead to what is between them
constexpr std::size_t kEnough = 10;   // cuts for a median
constexpr double kGrid_px = 0.5;      // of a mask's wall, which its grid explains
constexpr double kThinnest_px = 0.1;  // radius
constexpr double kUnknown_px = 1e4;   // sd of a radius that is not known

// The mean density of the vessel around, from its other cuts; 0 when there are few.
double density_around(const std::vector<Cut>& cuts, std::size_t i) {
  std::vector<double> densities;
  for (std::size_t k = 0; k < cuts.size(); ++k) {
    const bool is_near = std::abs(cuts[k].sample->arc_px - cuts[i].sample->arc_px) <= kDensityReach_px;
    if (is_near && cuts[k].fit && cuts[k].fit->density > 0) densities.push_back(cuts[k].fit->density);
  }
  return densities.size() < kEnough ? 0 : median(std::move(densities));
}

// What a cut is looked for around.
struct Expected {
  double radius_px = 0, density = 0;
  bool is_between = false;  // neighbours show the vessel: it may be too thin to be told from the noise
};

bool is_believable(const Cut& cut, const Expected& expected, double noise_variance) {
  const WallFit& fit = *cut.fit;
  const double offset_px = std::abs(fit.offset_px);
  const bool is_near = offset_px + std::abs(fit.radius_px - expected.radius_px) <= kBand_px &&
                       offset_px + fit.radius_px - cut.half_px <= kBand_px;
  const bool is_seen = expected.is_between || fit.peak * fit.peak >= kLeastSignal * kLeastSignal * noise_variance;
  return fit.is_settled && fit.density > 0 && is_near && is_seen &&
         fit.residual_variance <= kMostMisfit * kMostMisfit * fit.peak * fit.peak + 4 * noise_variance;
}

// Fits each cut on its own; returns the noise of the picture's profiles, the median of what the fits leave.
double fit_alone(const std::vector<Cut*>& cuts, const WallBlur& blur) {
  std::vector<double> variances;
  for (Cut* cut : cuts) {
    cut->fit = fit_walls(cut->profile(), cut->prior(), blur);
    variances.push_back(cut->fit->residual_variance);
  }
  return median(std::move(variances));
}

// The cuts of one vessel.
class VesselFit {
 public:
  VesselFit(std::vector<Cut>& cuts, const WallBlur& blur, double noise_variance)
      : cuts_(cuts), blur_(blur), noise_variance_(noise_variance) {}

  // Fits all cuts around the mask's walls, made narrower by what they are found too wide.
  void around_mask() {
    for (int pass = 0; pass < kPasses; ++pass) {
      const std::vector<double> densities = densities_around();
      for (std::size_t i = 0; i < cuts_.size(); ++i) {
        Cut& cut = cuts_[i];
        const double radius_px = std::max(cut.half_px / 2, cut.half_px - wider_px_);
        fit(cut, {.radius_px = radius_px, .density = densities[i]});
      }
      wider_px_ = too_wide_px();
    }
  }

  // Fits those that were not believed around where their neighbours on both sides lead.
  void between_neighbours() {
    const std::vector<double> densities = densities_around();
    for (int turn = 0; turn < kTurns; ++turn) {
      bool is_changed = false;
      const std::vector<Estimate> course = course_px();
      for (std::size_t i = 0; i < cuts_.size(); ++i) {
        if (cuts_[i].is_believed || !is_bridged(i)) continue;
        cuts_[i].fit.reset();
        const double radius_px = std::max(kThinnest_px, course[i].value);
        fit(cuts_[i], {.radius_px = radius_px, .density = densities[i], .is_between = true});
        is_changed = is_changed || cuts_[i].is_believed;
      }
      if (!is_changed) return;
    }
  }

  // Moves the walls of believed cuts to where their joined course has them; returns of how many.
  int move_walls() {
    int moved_cuts = 0;
    const std::vector<Estimate> course = course_px();
    const std::vector<double> densities = densities_around();
    for (std::size_t i = 0; i < cuts_.size(); ++i) {
      if (cuts_[i].is_believed) moved_cuts += move(cuts_[i], course[i], densities[i]) ? 1 : 0;
    }
    return moved_cuts;
  }

 private:
  void fit(Cut& cut, const Expected& expected) {
    WallPrior prior = cut.prior_around(expected.radius_px);
    prior.density = expected.density, prior.density_relative_sd = kDensityRelativeSd;
    const double variance = cut.fit ? (cut.fit->residual_variance + noise_variance_) / 2 : noise_variance_;
    cut.fit = fit_walls(cut.profile(), prior, blur_, variance, cut.fit ? &*cut.fit : nullptr);
    cut.is_believed = is_believable(cut, expected, noise_variance_);
  }

  std::vector<double> densities_around() const {
    std::vector<double> densities;
    for (std::size_t i = 0; i < cuts_.size(); ++i) densities.push_back(density_around(cuts_, i));
    return densities;
  }

  // How much farther out the mask has a wall than the picture; 0 where the grid explains it.
  double too_wide_px() const {
    std::vector<double> ways;
    for (const Cut& cut : cuts_) {
      if (cut.is_believed) ways.push_back(cut.half_px - cut.fit->radius_px);
    }
    if (ways.size() < kEnough) return 0;
    const double way_px = median(std::move(ways));
    return way_px > kGrid_px ? way_px : 0;
  }

  double gap_px(std::size_t a, std::size_t b) const { return cuts_[b].sample->arc_px - cuts_[a].sample->arc_px; }

  // Believed cuts before and behind, not far apart, and cuts all the way.
  bool is_bridged(std::size_t i) const {
    std::size_t before = i, behind = i;
    while (!cuts_[before].is_believed) {
      if (before == 0 || gap_px(before - 1, before) > kGap_px) return false;
      --before;
    }
    while (!cuts_[behind].is_believed) {
      if (behind + 1 == cuts_.size() || gap_px(behind, behind + 1) > kGap_px) return false;
      ++behind;
    }
    return gap_px(before, behind) <= kBridge_px;
  }

  // The most probable radii: believed ones joined along the vessel, and what they lead to between them, not over long
  // ways.
  std::vector<Estimate> course_px() const {
    std::vector<Estimate> course(cuts_.size(), {0, kUnknown_px});
    std::size_t first = 0;
    while (first < cuts_.size()) {
      std::size_t last = first, believed = first;
      for (std::size_t i = first + 1; i < cuts_.size(); ++i) {
        if (gap_px(i - 1, i) > kGap_px || gap_px(believed, i) > kBridge_px) break;
        last = i;
        if (cuts_[i].is_believed) believed = i;
      }
      join(first, last, course);
      first = last + 1;
    }
    return course;
  }

  void join(std::size_t first, std::size_t last, std::vector<Estimate>& course) const {
    std::vector<Estimate> radii;
    bool is_known = false;
    for (std::size_t i = first; i <= last; ++i) {
      const Cut& cut = cuts_[i];
      is_known = is_known || cut.is_believed;
      radii.push_back(cut.is_believed ? Estimate{cut.fit->radius_px, std::max(1e-3, cut.fit->radius_sd_px)}
                                      : Estimate{cut.half_px, kUnknown_px});
    }
    if (!is_known) return;
    const double spacing_px = last > first ? gap_px(first, last) / static_cast<double>(last - first) : 1;
    const std::vector<Estimate> joined = joined_along(radii, spacing_px, kBend_per_px, kRelatedCuts);
    std::copy(joined.begin(), joined.end(), course.begin() + static_cast<std::ptrdiff_t>(first));
  }

  // False, and nothing happens, where the course is less sure than the mask, which is as wrong as it is too wide.
  bool move(Cut& cut, const Estimate& radius, double density) const {
    Sample& s = *cut.sample;
    const double mask_sd_px = std::hypot(s.sd_px, 2 * wider_px_);
    if (2 * radius.sd >= std::max(mask_sd_px, kSureShare * s.diameter_px)) return false;
    const double offset_px = cut.fit->offset_px, radius_px = std::max(kThinnest_px, radius.value);
    s.left = moved(s.centre, cut.across, offset_px - radius_px);
    s.right = moved(s.centre, cut.across, offset_px + radius_px);
    s.centre = moved(s.centre, cut.across, offset_px);
    s.diameter_px = 2 * radius_px;
    s.sd_px = std::hypot(2 * radius.sd, model_sd_px(*cut.fit, s.diameter_px, density));
    s.is_from_image = true;
    return true;
  }

  // Of the diameter: where the picture contradicts that a single, evenly filled vessel lies there, as it does where
  // another one lies over it. As much contrast medium fills a vessel that is wider by half of what its density is less
  // by; and what the residuals have above the picture's noise is the same in neighbouring cuts.
  double model_sd_px(const WallFit& fit, double diameter_px, double density) const {
    const double by_density_px = density > 0 ? diameter_px / 2 * (fit.density / density - 1) : 0;
    const double beyond_noise =
        std::max(0.0, fit.residual_variance - noise_variance_) / ((fit.residual_variance + noise_variance_) / 2);
    return std::hypot(by_density_px, 2 * fit.radius_sd_px * std::sqrt(beyond_noise));
  }

  std::vector<Cut>& cuts_;
  const WallBlur& blur_;
  double noise_variance_;
  double wider_px_ = 0;
};

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
  for (auto& of_vessel : cuts) {
    VesselFit vessel(of_vessel, blur, noise_variance);
    vessel.around_mask();
    vessel.between_neighbours();
    result.from_image += vessel.move_walls();
  }
  result.kept -= result.from_image;
  return result;
}

}  // namespace cmunet::vessel
