// SPDX-License-Identifier: Apache-2.0
// From the network's probabilities to a mask: test-time flips, hysteresis, removal of small parts, bridging of gaps.
// Everything but the threshold is off by default; `cmunet postprocess` chooses settings on validation images.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/engine/engine.h"
#include "cmunet/image/image.h"

namespace cmunet::engine {

/// Lengths and areas are in pixels of the network's grid; `Segmenter` scales them to each image's own.
struct PostprocessOptions {
  bool flips = false;      ///< average the image with its three mirror images: four times the work
  double threshold = 0.5;  ///< vessel above this probability, in (0, 1)
  /// Vessel also above this probability where it is connected (8 neighbours) to what lies above `threshold`, in
  /// [0, threshold]; absent for none. Lower values follow faint vessels further, and noise that touches them.
  std::optional<double> low_threshold = std::nullopt;
  std::int64_t min_area_px = 0;      ///< 8-connected parts with fewer pixels are removed; 0 keeps all
  std::int64_t max_gap_px = 0;       ///< longest bridge between two parts, in pixels that are added; 0 for none
  double min_gap_probability = 0.1;  ///< mean probability of a bridge's pixels at least, [0, 1]; lower bridges more
  bool operator==(const PostprocessOptions&) const = default;

  /// @throws Error kInvalidArgument naming the member.
  void check() const;
  /// The same for a grid with `factor` times as many pixels along a side: areas grow by its square, rounded.
  PostprocessOptions scaled(double factor) const;
};

/// An object with the members by name; an absent threshold is null.
Json to_json(const PostprocessOptions& options);
/// @throws Error kCorrupt naming `origin`: a key is missing, unknown or of the wrong type, or a value is out of range.
PostprocessOptions postprocess_from_json(const Json& json, const std::string& origin);

/// A mask with what was done to make it.
struct Postprocessed {
  image::Mask mask;
  image::Mask bridges;          ///< pixels of `mask` that only bridging has set: assumed, not seen
  std::int64_t removed_px = 0;  ///< by removal of small parts
};

/// Hysteresis, then removal, then bridging; `flips` is not looked at. Bridges are one pixel wide (8-connected), so that
/// none is taken for a measured diameter. A bridge runs along the path of the smallest sum of −log probability between
/// two parts; the cheapest are taken first and none joins what is joined already, as in a minimum spanning tree. Where
/// the cheapest path between two parts is longer than allowed, a shorter dearer one is not looked for.
/// @param probability  [0, 1]. @throws Error kInvalidArgument as `check`.
Postprocessed postprocess(const image::ImageF& probability, const PostprocessOptions& options);

/// The engine's probabilities, with `flips` their mean over the image and its three mirror images.
std::vector<image::ImageF> vessel_probability(Engine& engine, std::span<const image::ImageF> images, bool flips);

/// Pixels to set so that parts of `mask` join, by the rules above. Complexity O(n log n) in the pixels.
/// @throws Error kInvalidArgument unless both have one size.
image::Mask bridge_gaps(const image::Mask& mask, const image::ImageF& probability, std::int64_t max_gap_px,
                        double min_gap_probability);

}  // namespace cmunet::engine
