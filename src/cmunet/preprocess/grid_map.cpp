// SPDX-License-Identifier: Apache-2.0
#include "cmunet/preprocess/grid_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "cmunet/image/resize.h"
#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

// As for pictures that are read. A source, a window and a grid of this area each take up to 1 GiB.
constexpr int kMaxSide = 1 << 15;
constexpr std::int64_t kMaxArea = std::int64_t{1} << 28;

using Member = std::pair<const char*, int GridMap::*>;
constexpr std::array<Member, 8> kMembers{{{"source_height", &GridMap::source_height},
                                          {"source_width", &GridMap::source_width},
                                          {"crop_top", &GridMap::crop_top},
                                          {"crop_left", &GridMap::crop_left},
                                          {"crop_height", &GridMap::crop_height},
                                          {"crop_width", &GridMap::crop_width},
                                          {"height", &GridMap::height},
                                          {"width", &GridMap::width}}};

bool is_usable(const GridMap& map) {
  const auto size_ok = [](int height, int width) {
    return height > 0 && width > 0 && height <= kMaxSide && width <= kMaxSide &&
           std::int64_t{height} * width <= kMaxArea;
  };
  const auto corner_ok = [](int v) { return v >= -kMaxSide && v <= kMaxSide; };
  return size_ok(map.source_height, map.source_width) && size_ok(map.crop_height, map.crop_width) &&
         size_ok(map.height, map.width) && corner_ok(map.crop_top) && corner_ok(map.crop_left);
}

template <typename T>
image::Image<T> cut(const image::Image<T>& image, const GridMap& map) {
  CMUNET_CHECK(image.height() == map.source_height && image.width() == map.source_width, ErrorCode::kInvalidArgument,
               "[prepare] the image is ", image.height(), "x", image.width(), " but its grid map is for ",
               map.source_height, "x", map.source_width);
  image::Image<T> window(map.crop_height, map.crop_width);
  std::vector<int> columns;
  for (int x = 0; x < map.crop_width; ++x) columns.push_back(reflect(map.crop_left + x, map.source_width));
  for (int y = 0; y < map.crop_height; ++y) {
    const T* source = image.row(reflect(map.crop_top + y, map.source_height));
    T* row = window.row(y);
    for (const int column : columns) *row++ = source[column];
  }
  window.spacing_mm = image.spacing_mm;
  return window;
}

template <typename T>
void check_on_grid(const image::Image<T>& values, const GridMap& map) {
  CMUNET_CHECK(is_usable(map), ErrorCode::kInvalidArgument, "[to_source_grid] the grid map has sizes out of range");
  CMUNET_CHECK(values.height() == map.height && values.width() == map.width, ErrorCode::kInvalidArgument,
               "[to_source_grid] values are ", values.height(), "x", values.width(), " but the grid map's grid is ",
               map.height, "x", map.width);
}

template <typename T>
void scale_spacing_back(const image::Image<T>& values, const GridMap& map, image::Image<T>& result) {
  result.spacing_mm = image::scaled_spacing(values.spacing_mm, static_cast<double>(map.height) / map.crop_height,
                                            static_cast<double>(map.width) / map.crop_width);
}

/// The two grid pixels around one source pixel along one axis, and the share of the second.
struct Between {
  bool inside = false;
  int first = 0;
  int second = 0;
  double share = 0;
};

std::vector<Between> interpolation(int source_size, int crop_start, int crop_size, int grid_size) {
  std::vector<Between> result(static_cast<std::size_t>(source_size));
  for (int i = 0; i < source_size; ++i) {
    const int offset = i - crop_start;
    if (offset < 0 || offset >= crop_size) continue;
    const double centre = (offset + 0.5) * grid_size / crop_size - 0.5;
    const double at = std::clamp(centre, 0.0, grid_size - 1.0);
    const int first = static_cast<int>(at);
    result[static_cast<std::size_t>(i)] = {true, first, std::min(first + 1, grid_size - 1), at - first};
  }
  return result;
}

}  // namespace

int reflect(int i, int n) {
  const int period = 2 * n;
  const int folded = ((i % period) + period) % period;
  return folded < n ? folded : period - 1 - folded;
}

GridMap square_map(int source_height, int source_width, int crop_px, int size_px) {
  CMUNET_CHECK(source_height > 0 && source_width > 0 && crop_px >= 0 && size_px > 0, ErrorCode::kInvalidArgument,
               "[prepare] an image of ", source_height, "x", source_width, " with crop ", crop_px, " to size ", size_px,
               "; sizes must be positive");
  const int side = crop_px > 0 ? crop_px : std::max(source_height, source_width);
  GridMap map{source_height, source_width, (source_height - side) / 2, (source_width - side) / 2, side, side,
              size_px,       size_px};
  if (!is_usable(map)) {
    throw Error(ErrorCode::kUnsupported,
                concat("[prepare] an image of ", source_height, "x", source_width, " with a window of ", side, "x",
                       side, " and size ", size_px, "; each may have at most ", kMaxArea, " pixels"),
                crop_px == 0 ? "prepare.crop takes a square from the middle instead of padding to one" : "");
  }
  return map;
}

Json to_json(const GridMap& map) {
  Json json = Json::object();
  for (const auto& [name, member] : kMembers) json[name] = map.*member;
  return json;
}

GridMap grid_map_from_json(const Json& json, const std::string& origin) {
  GridMap map;
  for (const auto& [name, member] : kMembers) map.*member = json_get<int>(json, name, origin);
  for (const auto& item : json.items()) {
    const bool known =
        std::any_of(kMembers.begin(), kMembers.end(), [&](const Member& m) { return item.key() == m.first; });
    CMUNET_CHECK(known, ErrorCode::kCorrupt, "[", origin, "] a grid map has the unknown key '", item.key(), "'");
  }
  CMUNET_CHECK(is_usable(map), ErrorCode::kCorrupt, "[", origin, "] a grid map has sizes out of range: ", json.dump());
  return map;
}

image::ImageF cut_window(const image::ImageF& image, const GridMap& map) { return cut(image, map); }
image::Mask cut_window(const image::Mask& mask, const GridMap& map) { return cut(mask, map); }

image::ImageF to_source_grid(const image::ImageF& values, const GridMap& map, float outside) {
  check_on_grid(values, map);
  const auto rows = interpolation(map.source_height, map.crop_top, map.crop_height, map.height);
  const auto columns = interpolation(map.source_width, map.crop_left, map.crop_width, map.width);
  image::ImageF result(map.source_height, map.source_width, outside);
  for (int y = 0; y < map.source_height; ++y) {
    const Between& row = rows[static_cast<std::size_t>(y)];
    if (!row.inside) continue;
    for (int x = 0; x < map.source_width; ++x) {
      const Between& column = columns[static_cast<std::size_t>(x)];
      if (!column.inside) continue;
      const auto along = [&](int grid_row) {
        const float* v = values.row(grid_row);
        return (1 - column.share) * double{v[column.first]} + column.share * double{v[column.second]};
      };
      result.at(y, x) = static_cast<float>((1 - row.share) * along(row.first) + row.share * along(row.second));
    }
  }
  scale_spacing_back(values, map, result);
  return result;
}

image::Mask to_source_grid(const image::Mask& mask, const GridMap& map) {
  check_on_grid(mask, map);
  const auto nearest = [](int offset, int crop_size, int grid_size) {
    return std::min(grid_size - 1, static_cast<int>((offset + 0.5) * grid_size / crop_size));
  };
  image::Mask result(map.source_height, map.source_width);
  const int top = std::max(0, map.crop_top);
  const int left = std::max(0, map.crop_left);
  const int bottom = std::min(map.source_height, map.crop_top + map.crop_height);
  const int right = std::min(map.source_width, map.crop_left + map.crop_width);
  for (int y = top; y < bottom; ++y) {
    const std::uint8_t* row = mask.row(nearest(y - map.crop_top, map.crop_height, map.height));
    for (int x = left; x < right; ++x) result.at(y, x) = row[nearest(x - map.crop_left, map.crop_width, map.width)];
  }
  scale_spacing_back(mask, map, result);
  return result;
}

}  // namespace cmunet::preprocess
