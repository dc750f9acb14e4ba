// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/heart.h"

#include <algorithm>
#include <cstddef>
#include <numbers>

namespace cmunet::phantom {
namespace {

constexpr double kDegree = std::numbers::pi / 180;

// Takes from `a` what it has along the unit vector `n`.
Vec3 across(const Vec3& a, const Vec3& n) { return a - dot(a, n) * n; }

// Points every kStepMm along a finely sampled polyline.
std::vector<Vec3> evenly_spaced(const std::vector<Vec3>& line) {
  std::vector<Vec3> even{line.front()};
  double until_next = kStepMm;
  for (std::size_t i = 1; i < line.size(); ++i) {
    const Vec3 move = line[i] - line[i - 1];
    const double length = norm(move);
    double walked = 0;
    while (length - walked >= until_next) {
      walked += until_next;
      until_next = kStepMm;
      even.push_back(line[i - 1] + (walked / length) * move);
    }
    until_next -= length - walked;
  }
  return even;
}

}  // namespace

Vec3 Heart::at(const Place& place) const {
  const double latitude = place.latitude_deg * kDegree, longitude = place.longitude_deg * kDegree;
  const Vec3 around = std::cos(longitude) * anterior + std::sin(longitude) * left_ward;
  return place.depth * (ring_mm * std::cos(latitude) * around + length_mm * std::sin(latitude) * apex_ward);
}

Vec3 Heart::normal(const Vec3& p) const {
  const double ring2 = ring_mm * ring_mm, length2 = length_mm * length_mm;
  return unit((dot(p, anterior) / ring2) * anterior + (dot(p, left_ward) / ring2) * left_ward +
              (dot(p, apex_ward) / length2) * apex_ward);
}

double Heart::depth_of(const Vec3& p) const {
  return norm({dot(p, anterior) / ring_mm, dot(p, left_ward) / ring_mm, dot(p, apex_ward) / length_mm});
}

Heart draw_heart(Rng& rng) {
  const auto near = [&](double v) { return v + rng.uniform(-0.07, 0.07); };
  Heart heart;
  // The long axis runs to the left, down and to the front; the left ventricle lies to the left and behind the right.
  heart.apex_ward = unit({near(0.62), near(0.52), near(0.58)});
  heart.left_ward = unit(across({near(0.70), near(0.05), near(-0.70)}, heart.apex_ward));
  heart.anterior = cross(heart.apex_ward, heart.left_ward);
  if (heart.anterior.y > 0) heart.anterior = -1.0 * heart.anterior;
  const double size = rng.uniform(0.95, 1.15);
  heart.ring_mm = size * rng.uniform(37, 42);
  heart.length_mm = size * rng.uniform(72, 84);
  return heart;
}

std::vector<Vec3> curve_through(std::span<const Vec3> points) {
  // Cubic Hermite pieces with slopes of the parabola through each point and its neighbours, over the chord length.
  const std::size_t n = points.size();
  std::vector<double> knot(n, 0);
  for (std::size_t i = 1; i < n; ++i) knot[i] = knot[i - 1] + norm(points[i] - points[i - 1]);
  const auto secant = [&](std::size_t i) { return (1 / (knot[i + 1] - knot[i])) * (points[i + 1] - points[i]); };
  std::vector<Vec3> slope(n);
  for (std::size_t i = 1; i + 1 < n; ++i) {
    const double before = knot[i] - knot[i - 1], after = knot[i + 1] - knot[i];
    slope[i] = (1 / (before + after)) * (after * secant(i - 1) + before * secant(i));
  }
  slope[0] = n > 2 ? 2 * secant(0) - slope[1] : secant(0);
  slope[n - 1] = n > 2 ? 2 * secant(n - 2) - slope[n - 2] : secant(0);
  std::vector<Vec3> line{points[0]};
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const double width = knot[i + 1] - knot[i];
    const int parts = std::max(2, static_cast<int>(std::ceil(2 * width / kStepMm)));
    for (int k = 1; k <= parts; ++k) {
      const double t = static_cast<double>(k) / parts, u = 1 - t;
      line.push_back((u * u * (1 + 2 * t)) * points[i] + (t * t * (3 - 2 * t)) * points[i + 1] +
                     (width * t * u * u) * slope[i] - (width * t * t * u) * slope[i + 1]);
    }
  }
  return evenly_spaced(line);
}

std::vector<Vec3> walk(const Heart& heart, const Vec3& start, const Vec3& forward, double length_mm, double tortuosity,
                       Rng& rng) {
  const double wave_mm = rng.uniform(8, 24), phase = rng.uniform(0, 2 * std::numbers::pi);
  const double swing = rng.uniform(0.03, 0.12) + 0.22 * tortuosity, bend = rng.uniform(-0.012, 0.012);
  const double depth = heart.depth_of(start);
  std::vector<Vec3> course{start};
  Vec3 direction = unit(forward);
  for (double walked = 0; walked < length_mm; walked += kStepMm) {
    const Vec3 normal = heart.normal(course.back());
    const double turn =
        kStepMm * (bend + swing * std::sin(2 * std::numbers::pi * walked / wave_mm + phase) + 0.05 * rng.normal());
    const Vec3 ahead = unit(across(direction, normal));
    direction = unit(std::cos(turn) * ahead + std::sin(turn) * cross(normal, ahead));
    const Vec3 next = course.back() + kStepMm * direction;
    course.push_back((depth / heart.depth_of(next)) * next);
  }
  return course;
}

std::vector<Vec3> wound(const Heart& heart, const std::vector<Vec3>& course, double tortuosity, Rng& rng) {
  const double wave_mm = rng.uniform(20, 36), phase = rng.uniform(0, 2 * std::numbers::pi);
  const double ripple_mm = rng.uniform(8, 14), ripple_phase = rng.uniform(0, 2 * std::numbers::pi);
  const double depth_phase = rng.uniform(0, 2 * std::numbers::pi);
  std::vector<Vec3> moved = course;
  for (std::size_t i = 1; i + 1 < course.size(); ++i) {
    const double s = static_cast<double>(i) * kStepMm, begun = std::min(1.0, s / 15);
    const double envelope = tortuosity * begun * begun * (3 - 2 * begun);
    const Vec3 normal = heart.normal(course[i]), side = cross(normal, unit(course[i + 1] - course[i - 1]));
    const double sideways = 2.4 * std::sin(2 * std::numbers::pi * s / wave_mm + phase) +
                            0.6 * std::sin(2 * std::numbers::pi * s / ripple_mm + ripple_phase);
    const double outwards = 1.2 * std::sin(2 * std::numbers::pi * s / wave_mm + depth_phase);
    moved[i] = course[i] + (envelope * sideways) * side + (envelope * outwards) * normal;
  }
  moved.pop_back();  // the last point has no neighbour to take a direction from
  return evenly_spaced(moved);
}

}  // namespace cmunet::phantom
