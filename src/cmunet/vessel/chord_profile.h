// SPDX-License-Identifier: Apache-2.0
// What a vessel takes from the rays along a cut: the shape that walls are found by in grey values.
#pragma once

#include <vector>

namespace cmunet::vessel {

/// Way of the rays through a round vessel (the chords of a circle) as a picture blurred by a Gaussian shows it:
/// P(t) = ∫ 2 √(R² − u²) g_σ(t − u) du, at offset t from the middle. By Beer-Lambert's law the logarithm of the
/// intensity falls by the density of the contrast medium times P. Elliptical vessels have the same shape.
class ChordProfile {
 public:
  struct Value {
    double chord = 0;      ///< P, in the unit of the radius
    double by_offset = 0;  ///< dP/dt
    double by_radius = 0;  ///< dP/dR
  };

  /// @param radius  R, above 0
  /// @param blur    σ, above 0, in the same unit
  ChordProfile(double radius, double blur);

  /// By Gauss-Chebyshev quadrature of the second kind, whose weight is the chord itself: exact to 1e-6 of R.
  Value at(double offset) const;

 private:
  double radius_, blur_;
  std::vector<double> places_, weights_;
};

}  // namespace cmunet::vessel
