// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/wall_chain.h"

#include <array>
#include <cmath>

namespace cmunet::vessel {
namespace {

// A symmetric matrix with two diagonals beside the main one: row i holds (i, i), (i, i + 1), (i, i + 2). Factorised in
// place as Lᵀ D L, and from then on for solving only.
class Band {
 public:
  explicit Band(std::size_t n) : rows_(n, {0, 0, 0}) {}
  std::array<double, 3>& operator[](std::size_t i) { return rows_[i]; }

  void factorise() {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const double pivot = rows_[i][0], one = rows_[i][1] / pivot, two = rows_[i][2] / pivot;
      if (i + 1 < rows_.size()) rows_[i + 1][0] -= one * rows_[i][1], rows_[i + 1][1] -= one * rows_[i][2];
      if (i + 2 < rows_.size()) rows_[i + 2][0] -= two * rows_[i][2];
      rows_[i][1] = one, rows_[i][2] = two;
    }
  }

  std::vector<double> solve(std::vector<double> b) const {
    const std::size_t n = rows_.size();
    for (std::size_t i = 0; i < n; ++i) {
      if (i + 1 < n) b[i + 1] -= rows_[i][1] * b[i];
      if (i + 2 < n) b[i + 2] -= rows_[i][2] * b[i];
    }
    for (std::size_t i = n; i-- > 0;) {
      b[i] /= rows_[i][0];
      if (i + 1 < n) b[i] -= rows_[i][1] * b[i + 1];
      if (i + 2 < n) b[i] -= rows_[i][2] * b[i + 2];
    }
    return b;
  }

  // The diagonal of the inverse (Takahashi's equations: from the last row up, each from the two below it).
  std::vector<double> inverse_diagonal() const {
    const std::size_t n = rows_.size();
    std::vector<std::array<double, 3>> inverse(n + 2, {0, 0, 0});
    std::vector<double> diagonal(n);
    for (std::size_t i = n; i-- > 0;) {
      const double one = rows_[i][1], two = rows_[i][2];
      inverse[i][1] = -one * inverse[i + 1][0] - two * inverse[i + 1][1];
      inverse[i][2] = -one * inverse[i + 1][1] - two * inverse[i + 2][0];
      inverse[i][0] = 1 / rows_[i][0] - one * inverse[i][1] - two * inverse[i][2];
      diagonal[i] = inverse[i][0];
    }
    return diagonal;
  }

 private:
  std::vector<std::array<double, 3>> rows_;
};

}  // namespace

std::vector<Estimate> joined_along(std::span<const Estimate> radii, double spacing_px, double bend, double related) {
  const std::size_t n = radii.size();
  Band band(n);
  std::vector<double> pulls(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double weight = 1 / (related * radii[i].sd * radii[i].sd);
    band[i][0] += weight;
    pulls[i] = weight * radii[i].value;
  }
  const double stiffness = 1 / (bend * spacing_px * spacing_px * spacing_px);
  for (std::size_t i = 0; i + 2 < n; ++i) {
    band[i][0] += stiffness, band[i + 1][0] += 4 * stiffness, band[i + 2][0] += stiffness;
    band[i][1] -= 2 * stiffness, band[i + 1][1] -= 2 * stiffness;
    band[i][2] += stiffness;
  }
  band.factorise();
  const std::vector<double> course = band.solve(std::move(pulls)), variances = band.inverse_diagonal();
  std::vector<Estimate> result(n);
  for (std::size_t i = 0; i < n; ++i) result[i] = {course[i], std::sqrt(variances[i])};
  return result;
}

}  // namespace cmunet::vessel
