// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/field.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cmunet/dicom/attributes.h"

namespace cmunet::dicom {
namespace {

struct Point {
  double y = 0, x = 0;
};

template <typename Outside>
void clear_where(image::Mask& field, const Outside& outside) {
  for (int y = 0; y < field.height(); ++y) {
    for (int x = 0; x < field.width(); ++x) {
      if (outside(y, x)) field.at(y, x) = 0;
    }
  }
}

void apply_rectangle(DcmItem& shutter, image::Mask& field, std::vector<std::string>& oddities) {
  // Edges are counted from 1; the pixels on them are shown.
  const double left = number(shutter, DCM_ShutterLeftVerticalEdge).value_or(1) - 1;
  const double right = number(shutter, DCM_ShutterRightVerticalEdge).value_or(field.width()) - 1;
  const double top = number(shutter, DCM_ShutterUpperHorizontalEdge).value_or(1) - 1;
  const double bottom = number(shutter, DCM_ShutterLowerHorizontalEdge).value_or(field.height()) - 1;
  if (left >= right || top >= bottom) {
    oddities.emplace_back("the rectangular shutter leaves nothing open and was left out");
    return;
  }
  clear_where(field, [&](int y, int x) { return x < left || x > right || y < top || y > bottom; });
}

void apply_circle(DcmItem& shutter, double aspect, image::Mask& field, std::vector<std::string>& oddities) {
  const std::vector<double> center = numbers(shutter, DCM_CenterOfCircularShutter);
  const double radius = number(shutter, DCM_RadiusOfCircularShutter).value_or(0);
  if (center.size() != 2 || radius <= 0) {
    oddities.emplace_back("the circular shutter has no centre or radius and was left out");
    return;
  }
  clear_where(field, [&](int y, int x) {
    const double dy = aspect * (y - (center[0] - 1)), dx = x - (center[1] - 1);
    return dy * dy + dx * dx > radius * radius;
  });
}

bool is_inside(const std::vector<Point>& polygon, int y, int x) {
  bool inside = false;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Point &a = polygon[i], &b = polygon[j];
    if ((a.y > y) != (b.y > y) && x < (b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

void apply_polygon(DcmItem& shutter, image::Mask& field, std::vector<std::string>& oddities) {
  constexpr std::size_t kMaxNumbers = 2 * 256;  // bounds the time; devices use below ten corners
  const std::vector<double> flat = numbers(shutter, DCM_VerticesOfThePolygonalShutter);
  if (flat.size() < 6 || flat.size() % 2 != 0 || flat.size() > kMaxNumbers) {
    oddities.emplace_back("the polygonal shutter is no polygon of 3 to 256 corners and was left out");
    return;
  }
  std::vector<Point> polygon;
  for (std::size_t i = 0; i < flat.size(); i += 2) polygon.push_back({flat[i] - 1, flat[i + 1] - 1});
  clear_where(field, [&](int y, int x) { return !is_inside(polygon, y, x); });
}

void apply_shutters(DcmItem& owner, double aspect, image::Mask& field, std::vector<std::string>& oddities) {
  const std::string shapes = text(owner, DCM_ShutterShape);
  const image::Mask before = field;
  if (shapes.find("RECTANGULAR") != std::string::npos) apply_rectangle(owner, field, oddities);
  if (shapes.find("CIRCULAR") != std::string::npos) apply_circle(owner, aspect, field, oddities);
  if (shapes.find("POLYGONAL") != std::string::npos) apply_polygon(owner, field, oddities);
  if (std::ranges::find(field, std::uint8_t{1}) == field.end()) {
    oddities.emplace_back("the shutters leave nothing open and were left out");
    field = before;
  }
}

// The planes [first, last) of `planes` that are drawn on a frame, or on any: that of the first stands on Image Frame
// Origin, and one that names no frame on all.
std::pair<std::int64_t, std::int64_t> planes_on(DcmItem& dataset, std::uint16_t group, std::int64_t planes,
                                                std::optional<int> frame) {
  const DcmTagKey origin(group, 0x0051);
  const bool is_on_all = planes == 1 && !dataset.tagExists(origin);
  if (!frame || is_on_all) return {0, planes};
  const std::int64_t plane = *frame - (static_cast<std::int64_t>(number(dataset, origin).value_or(1)) - 1);
  return plane >= 0 && plane < planes ? std::pair(plane, plane + 1) : std::pair<std::int64_t, std::int64_t>(0, 0);
}

// The overlay of one group 60xx.
void apply_overlay(DcmItem& dataset, std::uint16_t group, std::optional<int> frame, image::Mask& field,
                   std::vector<std::string>& oddities) {
  if (!dataset.tagExists(DcmTagKey(group, 0x3000))) {
    if (number(dataset, DcmTagKey(group, 0x0102)).value_or(0) > 0) {
      oddities.emplace_back("an overlay lies in unused bits of the pixels; it is not in the picture and not masked");
    }
    return;
  }
  const auto size_of = [&](std::uint16_t element) {
    return static_cast<std::int64_t>(std::clamp(number(dataset, DcmTagKey(group, element)).value_or(0), 0.0, 65535.0));
  };
  const std::int64_t rows = size_of(0x0010), columns = size_of(0x0011);
  const std::vector<double> origin = numbers(dataset, DcmTagKey(group, 0x0050));
  const int top = origin.size() == 2 ? static_cast<int>(std::clamp(origin[0], -65536.0, 65536.0)) - 1 : 0;
  const int left = origin.size() == 2 ? static_cast<int>(std::clamp(origin[1], -65536.0, 65536.0)) - 1 : 0;
  const Uint16* bits = nullptr;
  unsigned long count = 0;
  const Uint8* bytes = nullptr;
  unsigned long byte_count = 0;
  DcmElement* element = nullptr;
  dataset.findAndGetElement(DcmTagKey(group, 0x3000), element);
  constexpr Uint32 kMaxBytes = 1 << 26;
  if (element == nullptr || element->getLength() > kMaxBytes) return;
  if (dataset.findAndGetUint16Array(DcmTagKey(group, 0x3000), bits, &count).bad() || bits == nullptr) {
    dataset.findAndGetUint8Array(DcmTagKey(group, 0x3000), bytes, &byte_count);
  }
  const auto available = static_cast<std::int64_t>(bits != nullptr    ? count * 16
                                                   : bytes != nullptr ? byte_count * 8
                                                                      : 0);
  const std::int64_t plane = rows * columns;
  if (plane == 0 || available < plane) {
    oddities.emplace_back("an overlay has less data than its size says and was left out");
    return;
  }
  const auto is_set = [&](std::int64_t i) {
    const auto k = static_cast<std::size_t>(i);
    return bits != nullptr ? (bits[k / 16] >> (k % 16) & 1) != 0 : (bytes[k / 8] >> (k % 8) & 1) != 0;
  };
  const std::int64_t planes = std::min(available / plane, std::max<std::int64_t>(1, size_of(0x0015)));
  const auto [first, last] = planes_on(dataset, group, planes, frame);
  for (std::int64_t i = first * plane; i < last * plane; ++i) {
    if (!is_set(i)) continue;
    const int y = top + static_cast<int>(i % plane / columns), x = left + static_cast<int>(i % columns);
    if (field.contains(y, x)) field.at(y, x) = 0;
  }
}

}  // namespace

image::Mask read_field(DcmItem& dataset, int height, int width, double aspect, std::optional<int> frame,
                       std::vector<std::string>& oddities) {
  image::Mask field(height, width, 1);
  DcmItem* frame_shutter = functional_group(dataset, frame.value_or(0), DCM_FrameDisplayShutterSequence);
  apply_shutters(frame_shutter != nullptr ? *frame_shutter : dataset, aspect, field, oddities);
  for (std::uint16_t group = 0x6000; group <= 0x601e; group = static_cast<std::uint16_t>(group + 2)) {
    apply_overlay(dataset, group, frame, field, oddities);
  }
  return field;
}

}  // namespace cmunet::dicom
