// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/postprocess.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "cmunet/image/components.h"

namespace cmunet::engine {
namespace {

image::Mask above(const image::ImageF& probability, double threshold) {
  image::Mask mask(probability.height(), probability.width());
  std::ranges::transform(probability, mask.begin(),
                         [=](float p) -> std::uint8_t { return static_cast<double>(p) > threshold ? 1 : 0; });
  return mask;
}

// The parts of `mask` (8-connected) for which keep(label − 1) holds.
image::Mask kept_parts(const image::Components& parts, const std::function<bool(std::size_t)>& keep) {
  image::Mask mask(parts.labels.height(), parts.labels.width());
  std::ranges::transform(parts.labels, mask.begin(), [&](int label) -> std::uint8_t {
    return label > 0 && keep(static_cast<std::size_t>(label - 1)) ? 1 : 0;
  });
  return mask;
}

// The parts above the low threshold that hold a pixel above the high one.
image::Mask hysteresis(const image::ImageF& probability, double low, double high) {
  const image::Components parts = image::connected_components(above(probability, low), 8);
  std::vector<bool> is_seeded(static_cast<std::size_t>(parts.count), false);
  auto label = parts.labels.begin();
  for (const float p : probability) {
    if (*label > 0 && static_cast<double>(p) > high) is_seeded[static_cast<std::size_t>(*label - 1)] = true;
    ++label;
  }
  return kept_parts(parts, [&](std::size_t part) { return is_seeded[part]; });
}

std::int64_t area(const image::Mask& mask) { return std::ranges::count(mask, std::uint8_t{1}); }

image::ImageF mirrored(const image::ImageF& image, bool rows, bool columns) {
  image::ImageF result(image.height(), image.width());
  for (int y = 0; y < image.height(); ++y) {
    const float* source = image.row(rows ? image.height() - 1 - y : y);
    if (columns) {
      std::reverse_copy(source, source + image.width(), result.row(y));
    } else {
      std::copy(source, source + image.width(), result.row(y));
    }
  }
  return result;
}

}  // namespace

void PostprocessOptions::check() const {
  const auto require = [](bool ok, const char* name, double value, const char* expected) {
    CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[postprocess] ", name, " is ", value, "; must be ", expected);
  };
  require(threshold > 0 && threshold < 1, "threshold", threshold, "between 0 and 1");
  const double low = low_threshold.value_or(threshold);
  require(low >= 0 && low <= threshold, "low_threshold", low, "at least 0 and at most threshold");
  require(min_area_px >= 0, "min_area_px", static_cast<double>(min_area_px), "0 or more");
  require(max_gap_px >= 0, "max_gap_px", static_cast<double>(max_gap_px), "0 or more");
  require(min_gap_probability >= 0 && min_gap_probability <= 1, "min_gap_probability", min_gap_probability,
          "in [0, 1]");
}

PostprocessOptions PostprocessOptions::scaled(double factor) const {
  PostprocessOptions result = *this;
  result.min_area_px = std::llround(static_cast<double>(min_area_px) * factor * factor);
  result.max_gap_px = std::llround(static_cast<double>(max_gap_px) * factor);
  return result;
}

Json to_json(const PostprocessOptions& o) {
  return {{"flips", o.flips},
          {"threshold", o.threshold},
          {"low_threshold", o.low_threshold ? Json(*o.low_threshold) : Json(nullptr)},
          {"min_area_px", o.min_area_px},
          {"max_gap_px", o.max_gap_px},
          {"min_gap_probability", o.min_gap_probability}};
}

PostprocessOptions postprocess_from_json(const Json& json, const std::string& origin) {
  PostprocessOptions options;
  options.flips = json_get<bool>(json, "flips", origin);
  options.threshold = json_get<double>(json, "threshold", origin);
  CMUNET_CHECK(json.contains("low_threshold"), ErrorCode::kCorrupt, "[", origin, "] key 'low_threshold' is missing");
  if (!json["low_threshold"].is_null()) options.low_threshold = json_get<double>(json, "low_threshold", origin);
  options.min_area_px = json_get<std::int64_t>(json, "min_area_px", origin);
  options.max_gap_px = json_get<std::int64_t>(json, "max_gap_px", origin);
  options.min_gap_probability = json_get<double>(json, "min_gap_probability", origin);
  for (const auto& [key, value] : json.items()) {
    CMUNET_CHECK(to_json(options).contains(key), ErrorCode::kCorrupt, "[", origin, "] '", key,
                 "' is no setting of post-processing");
  }
  try {
    options.check();
  } catch (const Error& e) {
    throw Error(ErrorCode::kCorrupt, concat("[", origin, "] ", e.what()));
  }
  return options;
}

Postprocessed postprocess(const image::ImageF& probability, const PostprocessOptions& options) {
  options.check();
  Postprocessed result;
  result.mask = options.low_threshold ? hysteresis(probability, *options.low_threshold, options.threshold)
                                      : above(probability, options.threshold);
  if (options.min_area_px > 1) {
    const std::int64_t before = area(result.mask);
    const image::Components parts = image::connected_components(result.mask, 8);
    result.mask = kept_parts(parts, [&](std::size_t part) { return parts.areas[part] >= options.min_area_px; });
    result.removed_px = before - area(result.mask);
  }
  result.bridges = image::Mask(probability.height(), probability.width());
  if (options.max_gap_px > 0) {
    result.bridges = bridge_gaps(result.mask, probability, options.max_gap_px, options.min_gap_probability);
    std::ranges::transform(result.mask, result.bridges, result.mask.begin(), std::bit_or<std::uint8_t>());
  }
  result.mask.spacing_mm = result.bridges.spacing_mm = probability.spacing_mm;
  return result;
}

namespace {

void require_numbers(std::span<const image::ImageF> probabilities) {
  for (const image::ImageF& probability : probabilities) {
    const auto broken = std::ranges::count_if(probability, [](float p) { return std::isnan(p); });
    if (broken == 0) continue;
    throw Error(
        ErrorCode::kNumeric,
        concat("[segment] the network's output is not a number in ", broken, " of ", probability.size(), " pixels"),
        "the model's weights or the image hold NaN or infinite values: cmunet info names the model's run");
  }
}

}  // namespace

std::vector<image::ImageF> vessel_probability(Engine& engine, std::span<const image::ImageF> images, bool flips) {
  std::vector<image::ImageF> result = engine.vessel_probability(images);
  require_numbers(result);
  if (!flips) return result;
  for (const auto& [rows, columns] : {std::pair{false, true}, {true, false}, {true, true}}) {
    std::vector<image::ImageF> mirror;
    for (const image::ImageF& image : images) mirror.push_back(mirrored(image, rows, columns));
    const std::vector<image::ImageF> probabilities = engine.vessel_probability(mirror);
    require_numbers(probabilities);
    for (std::size_t i = 0; i < result.size(); ++i) {
      std::ranges::transform(result[i], mirrored(probabilities[i], rows, columns), result[i].begin(), std::plus<>());
    }
  }
  for (image::ImageF& probability : result) {
    for (float& p : probability) p /= 4;
  }
  return result;
}

}  // namespace cmunet::engine
