// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <numbers>

#include "cmunet/phantom/phantom.h"
#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {

Tube make_tube(const TubeOptions& o) {
  CMUNET_CHECK(o.height > 0 && o.width > 0, ErrorCode::kInvalidArgument, "[make_tube] the picture is ", o.height, "x",
               o.width, "; sides must be positive");
  CMUNET_CHECK(o.diameter_px > 0 && o.end_diameter_px > 0 && o.length_px > 0 && o.spacing_mm > 0,
               ErrorCode::kInvalidArgument, "[make_tube] diameters are ", o.diameter_px, " and ", o.end_diameter_px,
               " px, length ", o.length_px, " px, spacing ", o.spacing_mm, " mm; all must be positive");
  CMUNET_CHECK(o.stenosis_percent >= 0 && o.stenosis_percent < 100 && o.stenosis_length_px > 0,
               ErrorCode::kInvalidArgument, "[make_tube] stenosis of ", o.stenosis_percent, " % over ",
               o.stenosis_length_px, " px; expected 0 to below 100 % over a positive length");
  const double angle = o.angle_deg * std::numbers::pi / 180;
  const double middle_y = (o.height - 1) / 2.0, middle_x = (o.width - 1) / 2.0;
  Tube tube{image::Mask(o.height, o.width), {}};
  tube.mask.spacing_mm = image::Spacing{o.spacing_mm, o.spacing_mm};
  const int parts = static_cast<int>(std::ceil(8 * o.length_px));  // fine, so that the edge has no ripple
  for (int i = 0; i <= parts; ++i) {
    const double t = static_cast<double>(i) / parts, along = (t - 0.5) * o.length_px;
    const double across = -o.bend_px * (1 - 4 * (t - 0.5) * (t - 0.5));  // a parabola over the chord
    const double narrowing = 1 - o.stenosis_percent / 100 * bump(along, o.stenosis_length_px);
    const double diameter = (o.diameter_px + t * (o.end_diameter_px - o.diameter_px)) * narrowing;
    const double y = middle_y + along * std::sin(angle) + across * std::cos(angle);
    const double x = middle_x + along * std::cos(angle) - across * std::sin(angle);
    tube.points.push_back({y, x, diameter, diameter * o.spacing_mm});
    paint_disc(tube.mask, y, x, diameter / 2);
  }
  return tube;
}

}  // namespace cmunet::phantom
