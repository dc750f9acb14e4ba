// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/check_engine.h"

#include <cmath>
#include <limits>

namespace cmunet::engine {

EngineDifference compare_engines(Engine& engine, Engine& reference, std::span<const image::ImageF> images,
                                 double threshold) {
  EngineDifference result;
  double sum = 0;
  for (const image::ImageF& image : images) {
    const image::ImageF a = engine.vessel_probability(std::span(&image, 1)).front();
    const image::ImageF b = reference.vessel_probability(std::span(&image, 1)).front();
    const bool sizes_ok = a.height() == image.height() && a.width() == image.width() && a.height() == b.height() &&
                          a.width() == b.width();
    CMUNET_CHECK(sizes_ok, ErrorCode::kInternal, "[check_engine] for ", image.height(), "x", image.width(), " ",
                 engine.name(), " gave ", a.height(), "x", a.width(), " and ", reference.name(), " ", b.height(), "x",
                 b.width());
    auto other = b.begin();
    for (const float value : a) {
      const auto p = static_cast<double>(value), q = static_cast<double>(*other++);
      const double difference = std::isnan(p) && std::isnan(q) ? 0 : std::abs(p - q);
      sum += difference;
      if (std::isnan(difference) || difference > result.max) result.max = difference;  // once NaN, always NaN
      result.mask_pixels += (p > threshold) != (q > threshold) ? 1 : 0;
    }
    ++result.images;
    result.pixels += static_cast<std::int64_t>(a.size());
  }
  result.mean = result.pixels > 0 ? sum / static_cast<double>(result.pixels) : std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace cmunet::engine
