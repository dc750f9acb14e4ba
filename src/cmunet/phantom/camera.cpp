// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/camera.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

namespace cmunet::phantom {
namespace {

constexpr double kMaxPointGapPx = 0.5;
constexpr double kMostSteepness = 2.5;  // a vessel seen end-on is no deeper than it is curved

// Primary and secondary angle: LAO and cranial positive.
constexpr View kRightViews[] = {{42, 0}, {35, 18}, {-30, 0}, {5, 25}, {50, 5}};
constexpr View kLeftViews[] = {{-30, -22}, {-12, 32}, {42, 25}, {45, -25}, {0, -28}, {-35, 5}, {5, 35}};

Camera facing(const View& view) {
  const double degree = std::numbers::pi / 180;
  const double lao = view.lao_deg * degree, cranial = view.cranial_deg * degree;
  Camera camera;
  camera.view = view;
  camera.right = {std::cos(lao), 0, -std::sin(lao)};
  camera.towards = {std::sin(lao) * std::cos(cranial), -std::sin(cranial), std::cos(lao) * std::cos(cranial)};
  camera.down = cross(camera.towards, camera.right);
  return camera;
}

// The middle of what is between `low` and `high`, moved so that `must_show` stays within `reach` of it.
double aim_between(double low, double high, double must_show, double reach) {
  return std::clamp((low + high) / 2, must_show - reach, must_show + reach);
}

}  // namespace

Camera draw_camera(Artery artery, const std::vector<TreeBranch>& tree, double field_mm, Rng& rng) {
  const std::span<const View> views = artery == Artery::kRight ? std::span<const View>(kRightViews) : kLeftViews;
  const View& usual = views[static_cast<std::size_t>(rng.below(views.size()))];
  View view;
  view.lao_deg = usual.lao_deg + rng.uniform(-7, 7);
  view.cranial_deg = usual.cranial_deg + rng.uniform(-6, 6);
  Camera camera = facing(view);
  const Vec3 ostium = tree.front().points.front().position_mm;
  double low_y = camera.y_mm(ostium), high_y = low_y, low_x = camera.x_mm(ostium), high_x = low_x;
  for (const TreeBranch& branch : tree) {
    for (const TreePoint& p : branch.points) {
      const double y = camera.y_mm(p.position_mm), x = camera.x_mm(p.position_mm);
      low_y = std::min(low_y, y), high_y = std::max(high_y, y);
      low_x = std::min(low_x, x), high_x = std::max(high_x, x);
    }
  }
  const double reach_mm = 0.40 * field_mm, shift_mm = 0.05 * field_mm;
  const double shift_y = rng.uniform(-shift_mm, shift_mm), shift_x = rng.uniform(-shift_mm, shift_mm);
  const double ostium_y = camera.y_mm(ostium), ostium_x = camera.x_mm(ostium);
  camera.aim_y_mm = aim_between(low_y + shift_y, high_y + shift_y, ostium_y, reach_mm);
  camera.aim_x_mm = aim_between(low_x + shift_x, high_x + shift_x, ostium_x, reach_mm);
  return camera;
}

std::vector<FlatPoint> project(const std::vector<TreePoint>& points, const Camera& camera, int size,
                               double spacing_mm) {
  const double middle = (size - 1) / 2.0;
  std::vector<FlatPoint> flat;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const TreePoint& p = points[i];
    FlatPoint b{middle + camera.y_mm(p.position_mm) / spacing_mm, middle + camera.x_mm(p.position_mm) / spacing_mm,
                p.radius_mm, p.from_ostium_mm, 1};
    const Vec3 move = points[std::min(i + 1, points.size() - 1)].position_mm - points[i > 0 ? i - 1 : 0].position_mm;
    const double in_plane = std::hypot(dot(move, camera.right), dot(move, camera.down));
    b.steepness = in_plane * kMostSteepness < norm(move) ? kMostSteepness : norm(move) / in_plane;
    if (i > 0) {
      const FlatPoint a = flat.back();
      const int parts = static_cast<int>(std::ceil(std::hypot(b.y - a.y, b.x - a.x) / kMaxPointGapPx));
      for (int k = 1; k < parts; ++k) {
        const double t = static_cast<double>(k) / parts;
        const auto between = [t](double from, double to) { return from + t * (to - from); };
        flat.push_back({between(a.y, b.y), between(a.x, b.x), between(a.radius_mm, b.radius_mm),
                        between(a.from_ostium_mm, b.from_ostium_mm), between(a.steepness, b.steepness)});
      }
    }
    flat.push_back(b);
  }
  return flat;
}

}  // namespace cmunet::phantom
