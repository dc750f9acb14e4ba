// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/wall_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cmunet/vessel/chord_profile.h"

namespace cmunet::vessel {
namespace {

constexpr int kRounds = 15;
constexpr double kRelated = 6;        // values of a profile, half a pixel apart, per independent one
constexpr double kThinnest_px = 0.1;  // radius
constexpr double kSettled_px = 3e-3;

constexpr std::size_t kUnknowns = 5;
enum Unknown : std::size_t { kOffset, kRadius, kDensity, kBackground, kSlope };
using Vector = std::array<double, kUnknowns>;
using Matrix = std::array<Vector, kUnknowns>;

// Cholesky factor L of a symmetric matrix; false when it is not positive.
bool factorise(Matrix& a) {
  for (std::size_t i = 0; i < kUnknowns; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = a[i][j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      if (i == j) {
        if (!(sum > 0)) return false;
        a[i][i] = std::sqrt(sum);
      } else {
        a[i][j] = sum / a[j][j];
      }
    }
  }
  return true;
}

Vector solve(const Matrix& l, Vector b) {
  for (std::size_t i = 0; i < kUnknowns; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= l[i][k] * b[k];
    b[i] /= l[i][i];
  }
  for (std::size_t i = kUnknowns; i-- > 0;) {
    for (std::size_t k = i + 1; k < kUnknowns; ++k) b[i] -= l[k][i] * b[k];
    b[i] /= l[i][i];
  }
  return b;
}

// The shape of a vessel in the picture.
class Shape {
 public:
  Shape(double radius_px, const WallBlur& blur)
      : sharp_(radius_px, blur.sd_px),
        smooth_(radius_px, std::hypot(blur.sd_px, kSharpened_px)),
        sharpening_(blur.sharpening) {}

  ChordProfile::Value at(double offset_px) const {
    const ChordProfile::Value a = sharp_.at(offset_px);
    if (sharpening_ == 0) return a;
    const ChordProfile::Value b = smooth_.at(offset_px);
    const auto sharpened = [this](double sharp, double smooth) { return sharp + sharpening_ * (sharp - smooth); };
    return {sharpened(a.chord, b.chord), sharpened(a.by_offset, b.by_offset), sharpened(a.by_radius, b.by_radius)};
  }

 private:
  ChordProfile sharp_, smooth_;
  double sharpening_;
};

// The sum of squares, its gradient and its curvature, of values and prior in units of a value's variance.
struct Step {
  Matrix curvature{};
  Vector downhill{};
  double squares = 0, cost = 0;
};

Step linearise(const CutProfile& profile, const WallPrior& prior, const WallBlur& blur, double variance,
               const Vector& q) {
  Step step;
  const Shape chords(q[kRadius], blur);
  for (std::size_t i = 0; i < profile.attenuation.size(); ++i) {
    const double t = profile.at(i);
    const ChordProfile::Value p = chords.at(t - q[kOffset]);
    const Vector by{-q[kDensity] * p.by_offset, q[kDensity] * p.by_radius, p.chord, 1, t};
    const double residual = profile.attenuation[i] - q[kBackground] - q[kSlope] * t - q[kDensity] * p.chord;
    step.squares += residual * residual;
    for (std::size_t a = 0; a < kUnknowns; ++a) {
      step.downhill[a] += by[a] * residual;
      for (std::size_t b = 0; b <= a; ++b) step.curvature[a][b] += by[a] * by[b];
    }
  }
  step.cost = step.squares;
  const auto expect = [&](Unknown unknown, double expected, double sd) {
    const double weight = kRelated * variance / (sd * sd), off = expected - q[unknown];
    step.curvature[unknown][unknown] += weight;
    step.downhill[unknown] += weight * off;
    step.cost += weight * off * off;
  };
  // Independent errors of the two walls are independent errors of their middle and of half their distance.
  expect(kOffset, 0, prior.wall_sd_px / std::sqrt(2));
  expect(kRadius, prior.radius_px, prior.wall_sd_px / std::sqrt(2));
  if (prior.density > 0) expect(kDensity, prior.density, prior.density_relative_sd * prior.density);
  return step;
}

// Density, background and slope that suit the coarse walls best.
Vector start(const CutProfile& profile, const WallPrior& prior, const WallBlur& blur) {
  Vector q{0, std::max(kThinnest_px, prior.radius_px), 0, 0, 0};
  Matrix a{};
  Vector b{};
  const Shape chords(q[kRadius], blur);
  for (std::size_t i = 0; i < profile.attenuation.size(); ++i) {
    const double t = profile.at(i);
    const Vector by{0, 0, chords.at(t).chord, 1, t};
    for (std::size_t m = kDensity; m < kUnknowns; ++m) {
      b[m] += by[m] * profile.attenuation[i];
      for (std::size_t n = kDensity; n <= m; ++n) a[m][n] += by[m] * by[n];
    }
  }
  a[kOffset][kOffset] = a[kRadius][kRadius] = 1;
  if (!factorise(a)) return q;
  const Vector linear = solve(a, b);
  std::copy(linear.begin() + kDensity, linear.end(), q.begin() + kDensity);
  return q;
}

}  // namespace

WallFit fit_walls(const CutProfile& profile, const WallPrior& prior, const WallBlur& blur, double known_variance,
                  const WallFit* from) {
  const double freedom = static_cast<double>(profile.attenuation.size()) - kUnknowns;
  Vector q = from != nullptr ? Vector{from->offset_px, from->radius_px, from->density, from->background, from->slope}
                             : start(profile, prior, blur);
  double variance = known_variance;
  const auto linearised = [&](const Vector& at) { return linearise(profile, prior, blur, variance, at); };
  Step here = linearised(q);
  const auto follow_residuals = [&] {
    if (known_variance > 0) return;
    variance = here.squares / freedom;
    here = linearised(q);
  };
  follow_residuals();
  WallFit fit;
  double damping = 1e-3;
  for (int round = 0; round < kRounds && !fit.is_settled; ++round) {
    Matrix damped = here.curvature;
    for (std::size_t k = 0; k < kUnknowns; ++k) damped[k][k] *= 1 + damping;
    if (!factorise(damped)) return fit;
    const Vector move = solve(damped, here.downhill);
    Vector next = q;
    for (std::size_t k = 0; k < kUnknowns; ++k) next[k] += move[k];
    next[kRadius] = std::max({next[kRadius], kThinnest_px, q[kRadius] / 2});
    const Step there = linearised(next);
    fit.is_settled = std::hypot(next[kOffset] - q[kOffset], next[kRadius] - q[kRadius]) < kSettled_px;
    if (there.cost <= here.cost) {
      q = next, here = there, damping *= 0.2;
      if (!fit.is_settled) follow_residuals();
    } else {
      damping *= 8;
    }
  }
  fit.offset_px = q[kOffset], fit.radius_px = q[kRadius], fit.density = q[kDensity];
  fit.background = q[kBackground], fit.slope = q[kSlope];
  fit.residual_variance = here.squares / freedom;
  fit.peak = q[kDensity] * Shape(q[kRadius], blur).at(0).chord;
  Matrix l = here.curvature;
  if (!factorise(l)) return {};
  const auto sd = [&](Unknown unknown) {
    Vector unit{};
    unit[unknown] = 1;
    return std::sqrt(kRelated * variance * solve(l, unit)[unknown]);
  };
  fit.radius_sd_px = sd(kRadius), fit.offset_sd_px = sd(kOffset);
  return fit;
}

}  // namespace cmunet::vessel
