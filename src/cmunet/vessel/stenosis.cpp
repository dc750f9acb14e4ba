// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/stenosis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cmunet/base/error.h"

namespace cmunet::vessel {
namespace {

using Samples = std::span<const Sample>;

constexpr double kMinLength_px = 10;
constexpr double kAverage_px = 1;  // to either side of a cut: a diameter is the mean over that
constexpr double kMarkerReach_px = 2.5;
constexpr double kOutside_px = 5;   // from the ends of the narrowed part to the default markers of kMeanLocal
constexpr double kNarrowed = 0.95;  // of the reference: where a narrowed part ends
constexpr double kTight = 0.80;     // of the reference: a narrowed part that gets here is left out of the fit
constexpr int kRounds = 20;
constexpr double kShortLine = 3;  // mean diameters: the slope of diameters over less than that is noise

// Inclusive.
struct Stretch {
  std::size_t first = 0, last = 0;
  bool operator==(const Stretch&) const = default;
};

Stretch around(Samples samples, double arc_px, double reach_px) {
  const auto first = std::ranges::lower_bound(samples, arc_px - reach_px, {}, &Sample::arc_px);
  const auto beyond = std::ranges::upper_bound(samples, arc_px + reach_px, {}, &Sample::arc_px);
  return {static_cast<std::size_t>(first - samples.begin()), static_cast<std::size_t>(beyond - samples.begin()) - 1};
}

// The mean diameter within `reach_px` of a sample.
Estimate local_mean(Samples samples, std::size_t i, double reach_px) {
  const Stretch near = around(samples, samples[i].arc_px, reach_px);
  return mean_diameter(samples.subspan(near.first, near.last - near.first + 1));
}

std::vector<double> averaged(Samples samples) {
  std::vector<double> diameters(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) diameters[i] = local_mean(samples, i, kAverage_px).value;
  return diameters;
}

// Least squares; constant when there is but one place.
class LineFit {
 public:
  void add(double arc, double diameter) {
    ++n_, x_ += arc, y_ += diameter, xx_ += arc * arc, xy_ += arc * diameter;
    first_ = std::min(first_, arc), last_ = std::max(last_, arc);
  }
  double count() const { return n_; }
  // Constant, too, when the places are closer together than vessels are wide.
  DiameterLine line_of_many() const {
    return last_ - first_ < kShortLine * y_ / n_ ? DiameterLine{y_ / n_, 0} : line();
  }
  DiameterLine line() const {
    const double variance = n_ * xx_ - x_ * x_;
    if (variance <= 1e-9 * n_ * xx_) return {n_ > 0 ? y_ / n_ : std::numeric_limits<double>::quiet_NaN(), 0};
    const double slope = (n_ * xy_ - x_ * y_) / variance;
    return {(y_ - slope * x_) / n_, slope};
  }

 private:
  double n_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
  double first_ = std::numeric_limits<double>::infinity(), last_ = -first_;
};

// The samples around sample i of which `belongs` is true.
template <typename Belongs>
Stretch stretch_around(Samples samples, std::size_t i, const Belongs& belongs) {
  Stretch part{i, i};
  while (part.first > 0 && belongs(part.first - 1)) --part.first;
  while (part.last + 1 < samples.size() && belongs(part.last + 1)) ++part.last;
  return part;
}

// The stretch below kNarrowed of the line around sample i.
Stretch narrowed_around(Samples samples, const std::vector<double>& diameters, const DiameterLine& line,
                        std::size_t i) {
  return stretch_around(samples, i,
                        [&](std::size_t k) { return diameters[k] < kNarrowed * line.at(samples[k].arc_px); });
}

double length_px(Samples samples, const Stretch& part) {
  return samples[part.last].arc_px - samples[part.first].arc_px;
}

// The narrowed part is as short as where the vessel is surely narrowed, and as long as where it may be; no longer than
// to where it is as wide as the reference.
Interval narrowed_length_px(Samples samples, const std::vector<double>& diameters, const DiameterLine& line,
                            const Narrowing& found) {
  const auto below = [&](double sds, double at_most) {
    return stretch_around(samples, found.sample, [&](std::size_t k) {
      const double reference_px = line.at(samples[k].arc_px);
      const double sd = std::hypot(samples[k].sd_px, kNarrowed * found.minimal_px.sd) / reference_px;
      return diameters[k] < std::min(kNarrowed + sds * sd, at_most) * reference_px;
    });
  };
  return {length_px(samples, {found.first, found.last}), length_px(samples, below(-kTwoSided95, kNarrowed)),
          length_px(samples, below(kTwoSided95, 1))};
}

// The samples between those ends of a vessel that are no lesions.
struct Middle {
  std::size_t first = 0, beyond = 0;  // half-open
};

// What lies between the narrowed parts that reach an end where the vessel does not go on.
Middle between_ends(Samples samples, const std::vector<double>& diameters, const DiameterLine& line,
                    const NarrowingSearch& search) {
  const double start_px = samples.front().arc_px + line.at(samples.front().arc_px) / 2;
  const double end_px = samples.back().arc_px - line.at(samples.back().arc_px) / 2;
  Middle middle{0, samples.size()};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (diameters[i] >= kNarrowed * line.at(samples[i].arc_px)) continue;
    const Stretch part = narrowed_around(samples, diameters, line, i);
    if (search.start != VesselEnd::kContinues && samples[part.first].arc_px < start_px) middle.first = part.last + 1;
    if (search.end != VesselEnd::kContinues && samples[part.last].arc_px > end_px) {
      middle.beyond = std::min(middle.beyond, part.first);
    }
    i = part.last;
  }
  middle.beyond = std::max(middle.first, middle.beyond);
  return middle;
}

// Of the samples from `first` to before `beyond`, of which there is one at least.
std::size_t tightest_sample(Samples samples, const std::vector<double>& diameters, const DiameterLine& line,
                            std::size_t first, std::size_t beyond) {
  std::size_t tightest = first;
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = first; i < beyond; ++i) {
    const double ratio = diameters[i] / line.at(samples[i].arc_px);
    if (ratio < lowest) lowest = ratio, tightest = i;
  }
  return tightest;
}

// Through the diameters between the narrowed ends, outside the tightest part and outside every other one that is tight.
DiameterLine fit_outside(Samples samples, const std::vector<double>& diameters, const DiameterLine& before,
                         const NarrowingSearch& search) {
  const Middle middle = between_ends(samples, diameters, before, search);
  std::vector<bool> is_left_out(samples.size(), true);
  std::fill(is_left_out.begin() + static_cast<std::ptrdiff_t>(middle.first),
            is_left_out.begin() + static_cast<std::ptrdiff_t>(middle.beyond), false);
  const auto leave_out = [&](std::size_t i) {
    const Stretch part = narrowed_around(samples, diameters, before, i);
    for (std::size_t k = part.first; k <= part.last; ++k) is_left_out[k] = true;
  };
  if (middle.first < middle.beyond) {
    leave_out(tightest_sample(samples, diameters, before, middle.first, middle.beyond));
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!is_left_out[i] && diameters[i] < kTight * before.at(samples[i].arc_px)) leave_out(i);
  }
  LineFit fit;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!is_left_out[i]) fit.add(samples[i].arc_px, samples[i].diameter_px);
  }
  // What is left must be enough for a line.
  return fit.count() * 4 < static_cast<double>(samples.size()) ? before : fit.line_of_many();
}

// The first line follows the wider samples; then fitting and locating alternate until they agree.
DiameterLine computed_line(Samples samples, const std::vector<double>& diameters, const NarrowingSearch& search) {
  DiameterLine line;
  for (int round = 0; round < 3; ++round) {
    LineFit fit;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const bool is_wide = round == 0 || diameters[i] >= kNarrowed * line.at(samples[i].arc_px);
      if (is_wide) fit.add(samples[i].arc_px, samples[i].diameter_px);
    }
    line = fit.line_of_many();
  }
  for (int round = 0; round < kRounds; ++round) {
    const DiameterLine next = fit_outside(samples, diameters, line, search);
    const bool is_settled =
        std::abs(next.slope - line.slope) < 1e-9 && std::abs(next.at_zero_px - line.at_zero_px) < 1e-6;
    line = next;
    if (is_settled) break;
  }
  return line;
}

std::size_t sample_at(Samples samples, double share) {
  const double arc = samples.front().arc_px + share * (samples.back().arc_px - samples.front().arc_px);
  const auto found = std::ranges::lower_bound(samples, arc, {}, &Sample::arc_px);
  return std::min(samples.size() - 1, static_cast<std::size_t>(found - samples.begin()));
}

DiameterLine interpolated_line(Samples samples, std::span<const double> markers) {
  constexpr std::array kDefaults{0.05, 0.95};
  LineFit fit;
  for (const double marker : markers.empty() ? std::span<const double>(kDefaults) : markers) {
    const std::size_t i = sample_at(samples, marker);
    fit.add(samples[i].arc_px, local_mean(samples, i, kMarkerReach_px).value);
  }
  return fit.line();
}

DiameterLine mean_local_line(Samples samples, const Narrowing& found, std::span<const double> markers) {
  std::vector<std::size_t> places;
  for (const double marker : markers) places.push_back(sample_at(samples, marker));
  if (markers.empty()) {
    const double before = samples[found.first].arc_px - kOutside_px, behind = samples[found.last].arc_px + kOutside_px;
    const auto index_of = [&](double arc) {
      return static_cast<std::size_t>(std::ranges::lower_bound(samples, arc, {}, &Sample::arc_px) - samples.begin());
    };
    if (before >= samples.front().arc_px) places.push_back(index_of(before));
    if (behind <= samples.back().arc_px) places.push_back(index_of(behind));
  }
  if (places.empty()) return found.against[0].line;  // narrowed from end to end
  double sum = 0;
  for (const std::size_t place : places) sum += local_mean(samples, place, kMarkerReach_px).value;
  return {sum / static_cast<double>(places.size()), 0};
}

Stenosis stenosis_of(const Narrowing& found, double arc_px, const DiameterLine& line) {
  Stenosis s;
  s.line = line;
  s.reference_px = {line.at(arc_px), found.minimal_px.sd};
  // A line through two near markers may have left the vessel here: then there is no reference.
  if (!(s.reference_px.value > 0)) s.reference_px.value = std::numeric_limits<double>::quiet_NaN();
  const double ratio = found.minimal_px.value / s.reference_px.value;
  s.diameter_percent = {100 * (1 - ratio), 100 * found.minimal_px.sd / s.reference_px.value * std::hypot(1, ratio)};
  s.area_percent = {100 * (1 - ratio * ratio), 2 * ratio * s.diameter_percent.sd};
  return s;
}

// The narrowed part around sample i of which it is the tightest.
Narrowing narrowing_at(Samples samples, const std::vector<double>& diameters, const DiameterLine& line, std::size_t i,
                       std::span<const double> markers) {
  Narrowing found;
  found.sample = i;
  found.minimal_px = local_mean(samples, i, kAverage_px);
  const Stretch part = narrowed_around(samples, diameters, line, i);
  found.first = part.first, found.last = part.last;
  found.length_px = narrowed_length_px(samples, diameters, line, found);
  const double arc_px = samples[i].arc_px;
  found.against[0] = stenosis_of(found, arc_px, line);
  found.against[1] = stenosis_of(found, arc_px, interpolated_line(samples, markers));
  found.against[2] = stenosis_of(found, arc_px, mean_local_line(samples, found, markers));
  return found;
}

}  // namespace

std::string_view to_string(VesselEnd end) {
  switch (end) {
    case VesselEnd::kContinues: return "continues";
    case VesselEnd::kFree: return "free_end";
    case VesselEnd::kBorder: return "border";
  }
  return "";
}

std::string_view to_string(Reference reference) {
  switch (reference) {
    case Reference::kComputed: return "computed";
    case Reference::kInterpolated: return "interpolated";
    case Reference::kMeanLocal: return "mean_local";
  }
  return "";
}

Narrowings find_narrowings(Samples samples, const NarrowingSearch& search) {
  for (const double marker : search.markers) {
    CMUNET_CHECK(marker >= 0 && marker <= 1, ErrorCode::kInvalidArgument, "[measure] a marker at ", marker,
                 " of the length; must be in [0, 1]");
  }
  if (samples.empty() || samples.back().arc_px - samples.front().arc_px < kMinLength_px) return {};
  const std::vector<double> diameters = averaged(samples);
  const DiameterLine line = computed_line(samples, diameters, search);
  const auto narrowing_in = [&](std::size_t first, std::size_t beyond, VesselEnd touches) {
    const std::size_t i = tightest_sample(samples, diameters, line, first, beyond);
    Narrowing found = narrowing_at(samples, diameters, line, i, search.markers);
    found.touches = touches;
    return found;
  };
  const Middle middle = between_ends(samples, diameters, line, search);
  Narrowings result;
  if (middle.first > 0) result.at_ends.push_back(narrowing_in(0, middle.first, search.start));
  if (middle.first < middle.beyond) {
    result.narrowest = narrowing_in(middle.first, middle.beyond, VesselEnd::kContinues);
  }
  if (middle.beyond < samples.size()) {
    result.at_ends.push_back(narrowing_in(middle.beyond, samples.size(), search.end));
  }
  return result;
}

Samples whole_part(Samples samples, std::span<const Narrowing> at_ends) {
  std::size_t first = 0, beyond = samples.size();
  for (const Narrowing& n : at_ends) {
    if (n.first == 0) first = std::max(first, n.last + 1);
    if (n.last + 1 == samples.size()) beyond = std::min(beyond, n.first);
  }
  return first >= beyond ? samples : samples.subspan(first, beyond - first);
}

Estimate mean_diameter(Samples samples) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (samples.empty()) return {kNaN, kNaN};
  Estimate mean;
  for (const Sample& s : samples) {
    mean.value += s.diameter_px / static_cast<double>(samples.size());
    mean.sd += s.sd_px / static_cast<double>(samples.size());
  }
  return mean;
}

}  // namespace cmunet::vessel
