// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/distance.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cmunet::image {
namespace {

// For every q the minimum over p of (q − p)² + f(p), where f(p) may be kNoPixel: the lower envelope of parabolas.
class Envelope {
 public:
  explicit Envelope(int length)
      : values(static_cast<std::size_t>(length)),
        apex_(static_cast<std::size_t>(length)),
        from_(static_cast<std::size_t>(length) + 1) {}

  void transform() {
    const auto n = static_cast<std::int64_t>(values.size());
    std::int64_t last = -1;  // index of the rightmost parabola of the envelope
    for (std::int64_t q = 0; q < n; ++q) {
      if (value(q) == kNoPixel) continue;
      double start = -std::numeric_limits<double>::infinity();
      while (last >= 0) {
        start = crossing(apex(last), q);
        if (start > from(last)) break;
        --last;
      }
      if (last < 0) start = -std::numeric_limits<double>::infinity();
      ++last;
      apex(last) = q;
      from(last) = start;
    }
    if (last < 0) return;  // nothing set: all stay kNoPixel
    std::vector<std::int64_t> result(values.size());
    std::int64_t k = 0;
    for (std::int64_t q = 0; q < n; ++q) {
      while (k < last && from(k + 1) < static_cast<double>(q)) ++k;
      result[static_cast<std::size_t>(q)] = (q - apex(k)) * (q - apex(k)) + value(apex(k));
    }
    values = std::move(result);
  }

  std::vector<std::int64_t> values;

 private:
  std::int64_t& value(std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
  std::int64_t& apex(std::int64_t i) { return apex_[static_cast<std::size_t>(i)]; }
  double& from(std::int64_t i) { return from_[static_cast<std::size_t>(i)]; }
  // Where the parabola of q falls below that of p < q.
  double crossing(std::int64_t p, std::int64_t q) {
    return static_cast<double>(value(q) + q * q - value(p) - p * p) / (2.0 * static_cast<double>(q - p));
  }

  std::vector<std::int64_t> apex_;
  std::vector<double> from_;
};

}  // namespace

Image<std::int64_t> squared_distance_to(const Mask& mask) {
  Image<std::int64_t> result(mask.height(), mask.width(), kNoPixel);
  Envelope column(mask.height());
  for (int x = 0; x < mask.width(); ++x) {
    for (int y = 0; y < mask.height(); ++y) {
      column.values[static_cast<std::size_t>(y)] = mask.at(y, x) != 0 ? 0 : kNoPixel;
    }
    column.transform();
    for (int y = 0; y < mask.height(); ++y) result.at(y, x) = column.values[static_cast<std::size_t>(y)];
  }
  Envelope row(mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    std::copy_n(result.row(y), mask.width(), row.values.begin());
    row.transform();
    std::copy(row.values.begin(), row.values.end(), result.row(y));
  }
  return result;
}

ImageF distance_transform(const Mask& mask) {
  Mask background(mask.height(), mask.width());
  std::transform(mask.begin(), mask.end(), background.begin(), [](std::uint8_t v) -> std::uint8_t { return v == 0; });
  const Image<std::int64_t> squared = squared_distance_to(background);
  ImageF result(mask.height(), mask.width());
  std::transform(squared.begin(), squared.end(), result.begin(), [](std::int64_t v) {
    return v == kNoPixel ? std::numeric_limits<float>::infinity() : std::sqrt(static_cast<float>(v));
  });
  result.spacing_mm = mask.spacing_mm;
  return result;
}

}  // namespace cmunet::image
