// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/contour.h"

#include <array>
#include <cmath>
#include <cstdint>

namespace cmunet::image {
namespace {

constexpr std::int64_t kNone = -1;

// The sides of a 2×2 square; a contour enters through one and leaves through another.
enum Side : std::uint8_t { kTop, kRight, kBottom, kLeft };
struct Crossing {
  Side from, to;
};
struct Crossings {
  int count = 0;
  std::array<Crossing, 2> list{};
};

// By which corners are above the level: 1 top left, 2 top right, 4 bottom left, 8 bottom right.
constexpr std::array<Crossings, 16> kCrossings{{
    {},
    {1, {{{kTop, kLeft}}}},
    {1, {{{kRight, kTop}}}},
    {1, {{{kRight, kLeft}}}},
    {1, {{{kLeft, kBottom}}}},
    {1, {{{kTop, kBottom}}}},
    {2, {{{kRight, kTop}, {kLeft, kBottom}}}},  // a saddle: each high corner is cut off by itself
    {1, {{{kRight, kBottom}}}},
    {1, {{{kBottom, kRight}}}},
    {2, {{{kTop, kLeft}, {kBottom, kRight}}}},  // the other saddle
    {1, {{{kBottom, kTop}}}},
    {1, {{{kBottom, kLeft}}}},
    {1, {{{kLeft, kRight}}}},
    {1, {{{kTop, kRight}}}},
    {1, {{{kLeft, kTop}}}},
    {},
}};

// Contours as links between edges of the pixel grid. Edge 2i joins pixel i to the one right of it, edge 2i + 1 to the
// one below. High is always on the same side, so at most one link leaves an edge and at most one arrives.
class Links {
 public:
  Links(const ImageF& image, double level)
      : image_(image), level_(level), next_(2 * image.size(), kNone), has_previous_(2 * image.size(), 0) {
    for (int y = 0; y + 1 < image.height(); ++y) {
      for (int x = 0; x + 1 < image.width(); ++x) link_square(y, x);
    }
  }

  // Follows the links from `edge` and takes them away.
  std::vector<PointF> take_contour(std::int64_t edge) {
    std::vector<PointF> contour;
    while (edge != kNone) {
      const PointF point = point_on(edge);
      // Where a pixel equals the level, its edges cross the level at one place.
      if (contour.empty() || contour.back() != point) contour.push_back(point);
      std::int64_t& next = next_[static_cast<std::size_t>(edge)];
      edge = next;
      next = kNone;
    }
    return contour;
  }

  std::int64_t edge_count() const { return static_cast<std::int64_t>(next_.size()); }
  bool starts_open(std::int64_t edge) const {
    return has_next(edge) && has_previous_[static_cast<std::size_t>(edge)] == 0;
  }
  bool has_next(std::int64_t edge) const { return next_[static_cast<std::size_t>(edge)] != kNone; }

 private:
  double value(int y, int x) const { return static_cast<double>(image_.at(y, x)); }

  std::int64_t edge_of(Side side, int y, int x) const {
    const std::int64_t pixel = std::int64_t{y} * image_.width() + x;
    switch (side) {
      case kTop: return 2 * pixel;
      case kBottom: return 2 * (pixel + image_.width());
      case kLeft: return 2 * pixel + 1;
      default: return 2 * (pixel + 1) + 1;
    }
  }

  void link_square(int y, int x) {
    const std::array<double, 4> corners{value(y, x), value(y, x + 1), value(y + 1, x), value(y + 1, x + 1)};
    unsigned code = 0;
    for (unsigned k = 0; k < 4; ++k) {
      if (std::isnan(corners[k])) return;
      if (corners[k] > level_) code |= 1U << k;
    }
    const Crossings& crossings = kCrossings[code];
    for (int i = 0; i < crossings.count; ++i) {
      const Crossing& crossing = crossings.list[static_cast<std::size_t>(i)];
      const std::int64_t from = edge_of(crossing.from, y, x), to = edge_of(crossing.to, y, x);
      next_[static_cast<std::size_t>(from)] = to;
      has_previous_[static_cast<std::size_t>(to)] = 1;
    }
  }

  PointF point_on(std::int64_t edge) const {
    const std::int64_t pixel = edge / 2;
    const int y = static_cast<int>(pixel / image_.width()), x = static_cast<int>(pixel % image_.width());
    const bool down = edge % 2 == 1;
    const double a = value(y, x), b = down ? value(y + 1, x) : value(y, x + 1);
    const double t = (level_ - a) / (b - a);  // a ≠ b: one is above the level, one is not
    return down ? PointF{y + t, x + 0.0} : PointF{y + 0.0, x + t};
  }

  const ImageF& image_;
  double level_;
  std::vector<std::int64_t> next_;
  std::vector<std::uint8_t> has_previous_;
};

}  // namespace

std::vector<std::vector<PointF>> find_contours(const ImageF& image, double level) {
  Links links(image, level);
  std::vector<std::vector<PointF>> contours;
  const auto take = [&](std::int64_t edge) {
    std::vector<PointF> contour = links.take_contour(edge);
    if (contour.size() > 1) contours.push_back(std::move(contour));
  };
  for (std::int64_t edge = 0; edge < links.edge_count(); ++edge) {
    if (links.starts_open(edge)) take(edge);
  }
  for (std::int64_t edge = 0; edge < links.edge_count(); ++edge) {
    if (links.has_next(edge)) take(edge);
  }
  return contours;
}

std::vector<std::vector<PointF>> find_contours(const Mask& mask, double level) {
  ImageF values(mask.height(), mask.width());
  auto value = values.begin();
  for (const std::uint8_t v : mask) *value++ = static_cast<float>(v);
  return find_contours(values, level);
}

std::vector<PointF> contour_points(const Mask& mask) {
  std::vector<PointF> points;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      const bool inside = mask.at(y, x) != 0;
      if (x + 1 < mask.width() && inside != (mask.at(y, x + 1) != 0)) points.push_back({y + 0.0, x + 0.5});
      if (y + 1 < mask.height() && inside != (mask.at(y + 1, x) != 0)) points.push_back({y + 0.5, x + 0.0});
    }
  }
  return points;
}

}  // namespace cmunet::image
