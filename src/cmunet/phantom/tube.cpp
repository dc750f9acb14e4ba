// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cmunet/phantom/phantom.h"
#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {
namespace {

void check(const TubeOptions& o) {
  CMUNET_CHECK(o.height > 0 && o.width > 0, ErrorCode::kInvalidArgument, "[make_tube] the picture is ", o.height, "x",
               o.width, "; sides must be positive");
  CMUNET_CHECK(o.diameter_px > 0 && o.end_diameter_px > 0 && o.length_px > 0 && o.spacing_mm.row_mm > 0 &&
                   o.spacing_mm.col_mm > 0,
               ErrorCode::kInvalidArgument, "[make_tube] diameters are ", o.diameter_px, " and ", o.end_diameter_px,
               " px, length ", o.length_px, " px, spacing ", o.spacing_mm.row_mm, " x ", o.spacing_mm.col_mm,
               " mm; all must be positive");
  CMUNET_CHECK(o.stenosis_percent >= 0 && o.stenosis_percent < 100 && o.stenosis_length_px > 0,
               ErrorCode::kInvalidArgument, "[make_tube] stenosis of ", o.stenosis_percent, " % over ",
               o.stenosis_length_px, " px; expected 0 to below 100 % over a positive length");
}

// Raises `depth`, how far a pixel's centre lies within the tube (px, below 0 outside), to what a disc gives it.
void add_disc(image::Image<double>& depth, const CentrelinePoint& disc, double aspect) {
  const double radius = disc.diameter_px / 2, reach = radius + 1;
  const auto row_from = [&](double way) {
    return std::clamp(static_cast<int>(std::floor(disc.y + way / aspect)), 0, depth.height() - 1);
  };
  const auto column_from = [&](double way) {
    return std::clamp(static_cast<int>(std::floor(disc.x + way)), 0, depth.width() - 1);
  };
  for (int y = row_from(-reach); y <= row_from(reach); ++y) {
    for (int x = column_from(-reach); x <= column_from(reach); ++x) {
      depth.at(y, x) = std::max(depth.at(y, x), radius - std::hypot((y - disc.y) * aspect, x - disc.x));
    }
  }
}

}  // namespace

TubeOptions tube_mm(double diameter_mm, double length_mm, double angle_deg, const image::Spacing& spacing, int phase,
                    const TubeShape& shape) {
  const double px = spacing.col_mm, side_mm = 1.2 * length_mm + diameter_mm + 4;
  TubeOptions o;
  o.height = static_cast<int>(std::ceil(side_mm / spacing.row_mm));
  o.width = static_cast<int>(std::ceil(side_mm / spacing.col_mm));
  o.diameter_px = diameter_mm / px;
  o.end_diameter_px = shape.taper * o.diameter_px;
  o.length_px = length_mm / px;
  o.bend_px = shape.bend * o.length_px;
  o.angle_deg = angle_deg;
  o.stenosis_percent = shape.stenosis_percent;
  o.stenosis_length_px = 10 / px;
  o.offset_y_px = 0.61803 * phase, o.offset_x_px = 0.41421 * phase;
  o.spacing_mm = spacing;
  return o;
}

Tube make_tube(const TubeOptions& o) {
  check(o);
  const double angle = o.angle_deg * std::numbers::pi / 180, aspect = o.spacing_mm.row_mm / o.spacing_mm.col_mm;
  const double middle_y = (o.height - 1) / 2.0 * aspect + o.offset_y_px, middle_x = (o.width - 1) / 2.0 + o.offset_x_px;
  image::Image<double> depth(o.height, o.width, -std::numeric_limits<double>::infinity());
  Tube tube{image::Mask(o.height, o.width), image::ImageF(o.height, o.width), {}};
  tube.mask.spacing_mm = tube.soft.spacing_mm = o.spacing_mm;
  const int parts = static_cast<int>(std::ceil(8 * o.length_px));  // fine, so that the edge has no ripple
  for (int i = 0; i <= parts; ++i) {
    const double t = static_cast<double>(i) / parts, along = (t - 0.5) * o.length_px;
    const double across = -o.bend_px * (1 - 4 * (t - 0.5) * (t - 0.5));  // a parabola over the chord
    const double narrowing = 1 - o.stenosis_percent / 100 * bump(along, o.stenosis_length_px);
    const double diameter = (o.diameter_px + t * (o.end_diameter_px - o.diameter_px)) * narrowing;
    const double y = middle_y + along * std::sin(angle) + across * std::cos(angle);
    const double x = middle_x + along * std::cos(angle) - across * std::sin(angle);
    tube.points.push_back({y / aspect, x, diameter, diameter * o.spacing_mm.col_mm});
    add_disc(depth, tube.points.back(), aspect);
  }
  for (std::size_t i = 0; i < depth.size(); ++i) {
    tube.mask.data()[i] = depth.data()[i] >= 0 ? 1 : 0;
    tube.soft.data()[i] = static_cast<float>(std::clamp(depth.data()[i] + 0.5, 0.0, 1.0));
  }
  return tube;
}

double narrowed_length_mm(const Tube& tube, double share) {
  const double aspect = tube.mask.spacing_mm->row_mm / tube.mask.spacing_mm->col_mm;
  double length_px = 0;
  for (std::size_t i = 1; i < tube.points.size(); ++i) {
    const CentrelinePoint &p = tube.points[i - 1], &q = tube.points[i];
    if (q.diameter_px < share * tube.points[0].diameter_px) length_px += std::hypot((q.y - p.y) * aspect, q.x - p.x);
  }
  return length_px * tube.mask.spacing_mm->col_mm;
}

image::Mask branched_mask(const BranchedTube& shape) {
  constexpr double kSide_mm = 14, kBeyond_mm = 12;
  const double px = shape.spacing_mm, along = shape.angle_deg * std::numbers::pi / 180;
  const double length_mm = shape.between_mm + 2 * kBeyond_mm;
  const int size = static_cast<int>(std::ceil((length_mm + 2 * kSide_mm + shape.diameter_mm) / px));
  const auto mask_of = [&](double diameter_mm, double long_mm, double angle_deg, double y_mm, double x_mm) {
    return make_tube({.height = size,
                      .width = size,
                      .diameter_px = diameter_mm / px,
                      .end_diameter_px = diameter_mm / px,
                      .angle_deg = angle_deg,
                      .length_px = long_mm / px,
                      .offset_y_px = y_mm / px,
                      .offset_x_px = x_mm / px,
                      .spacing_mm = {px, px}})
        .mask;
  };
  image::Mask mask = mask_of(shape.diameter_mm, length_mm, shape.angle_deg, 0, 0);
  for (const int side : {-1, 1}) {
    const double at_mm = side * shape.between_mm / 2;
    const double turned = side > 0 && !shape.is_one_side ? -shape.side_angle_deg : shape.side_angle_deg;
    const double angle_deg = shape.angle_deg + turned, angle = angle_deg * std::numbers::pi / 180;
    const image::Mask branch =
        mask_of(shape.side_mm, kSide_mm, angle_deg, at_mm * std::sin(along) + kSide_mm / 2 * std::sin(angle),
                at_mm * std::cos(along) + kSide_mm / 2 * std::cos(angle));
    for (std::size_t i = 0; i < mask.size(); ++i) mask.data()[i] |= branch.data()[i];
  }
  return mask;
}

image::Mask rough_mask(TubeOptions options) {
  const double wider_px = 0.5 / options.spacing_mm.col_mm;
  options.diameter_px += wider_px, options.end_diameter_px += wider_px;
  options.stenosis_percent /= 2;
  return make_tube(options).mask;
}

}  // namespace cmunet::phantom
