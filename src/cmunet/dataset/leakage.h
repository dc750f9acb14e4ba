// SPDX-License-Identifier: Apache-2.0
// Proof that what is held out was not learnt from: near-duplicates and groups across splits.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/dataset/store.h"
#include "cmunet/image/image.h"

namespace cmunet::dataset {

/// Side of the thumbnails that are compared, px.
inline constexpr int kThumbnailSide = 32;
/// Images whose thumbnails correlate above this count as the same: 0.98 is the value with which ARCADE's copies were
/// found. Neighbouring frames of a run pass it; different patients in the same view stay below.
inline constexpr double kDuplicateCorrelation = 0.98;

/// A picture shrunk to 32×32, minus its mean, scaled to unit length: brightness and contrast do not matter.
using Thumbnail = std::array<float, kThumbnailSide * kThumbnailSide>;
Thumbnail thumbnail_of(const image::ImageF& image);

/// Largest correlation over the four mirrorings of `b`, in [−1, 1].
double similarity(const Thumbnail& a, const Thumbnail& b);

struct DuplicatePair {
  std::size_t a = 0, b = 0;
  double correlation = 0;
};

/// All pairs above the threshold whose `skip_equal` labels differ (an empty span compares all), sorted.
std::vector<DuplicatePair> near_duplicates(std::span<const Thumbnail> thumbnails, std::span<const int> skip_equal,
                                           int threads, double threshold = kDuplicateCorrelation);

/// The certificate that a store carries: what was compared, how, and what was found.
Json leakage_certificate(std::span<const Record> records, std::span<const DuplicatePair> across_splits,
                         std::int64_t pairs_compared);

/// Groups that stand in more than one split.
std::vector<std::string> groups_across_splits(std::span<const Record> records);

}  // namespace cmunet::dataset
