// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/leakage.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include "cmunet/base/parallel.h"
#include "cmunet/image/resize.h"

namespace cmunet::dataset {
namespace {

// Eight running sums, so that the compiler may use vector registers without reordering what is written here.
float dot(const Thumbnail& a, const Thumbnail& b) {
  std::array<float, 8> sums{};
  for (std::size_t i = 0; i < a.size(); i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += a[i + k] * b[i + k];
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0F);
}

Thumbnail mirrored(const Thumbnail& t, bool vertical, bool horizontal) {
  Thumbnail result{};
  constexpr std::size_t kSide = kThumbnailSide;
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t x = 0; x < kSide; ++x) {
      result[y * kSide + x] = t[(vertical ? kSide - 1 - y : y) * kSide + (horizontal ? kSide - 1 - x : x)];
    }
  }
  return result;
}

std::array<Thumbnail, 4> mirrorings(const Thumbnail& t) {
  return {t, mirrored(t, false, true), mirrored(t, true, false), mirrored(t, true, true)};
}

double best_of(const std::array<Thumbnail, 4>& a, const Thumbnail& b) {
  float best = -1;
  for (const Thumbnail& view : a) best = std::max(best, dot(view, b));
  return static_cast<double>(best);
}

}  // namespace

Thumbnail thumbnail_of(const image::ImageF& image) {
  const image::ImageF small = image::resize_bilinear(image, kThumbnailSide, kThumbnailSide);
  double mean = 0;
  for (const float v : small) mean += static_cast<double>(v) / static_cast<double>(small.size());
  double energy = 0;
  for (const float v : small) energy += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  Thumbnail result{};
  if (energy < 1e-12) return result;  // a constant picture resembles nothing
  const double scale = 1 / std::sqrt(energy);
  std::transform(small.begin(), small.end(), result.begin(),
                 [&](float v) { return static_cast<float>((static_cast<double>(v) - mean) * scale); });
  return result;
}

double similarity(const Thumbnail& a, const Thumbnail& b) { return best_of(mirrorings(a), b); }

std::vector<DuplicatePair> near_duplicates(std::span<const Thumbnail> thumbnails, std::span<const int> skip_equal,
                                           int threads, double threshold) {
  std::vector<DuplicatePair> pairs;
  std::mutex mutex;
  for_each_parallel(thumbnails.size(), threads, [&](std::size_t a) {
    std::vector<DuplicatePair> found;
    const std::array<Thumbnail, 4> views = mirrorings(thumbnails[a]);
    for (std::size_t b = a + 1; b < thumbnails.size(); ++b) {
      if (!skip_equal.empty() && skip_equal[a] == skip_equal[b]) continue;
      const double correlation = best_of(views, thumbnails[b]);
      if (correlation > threshold) found.push_back({a, b, correlation});
    }
    const std::lock_guard lock(mutex);
    pairs.insert(pairs.end(), found.begin(), found.end());
  });
  std::sort(pairs.begin(), pairs.end(),
            [](const DuplicatePair& p, const DuplicatePair& q) { return std::pair(p.a, p.b) < std::pair(q.a, q.b); });
  return pairs;
}

std::vector<std::string> groups_across_splits(std::span<const Record> records) {
  std::map<std::string, std::set<Split>> splits;
  for (const Record& record : records) splits[record.group].insert(record.split);
  std::vector<std::string> groups;
  for (const auto& [group, where] : splits) {
    if (where.size() > 1) groups.push_back(group);
  }
  return groups;
}

Json leakage_certificate(std::span<const Record> records, std::span<const DuplicatePair> across_splits,
                         std::int64_t pairs_compared) {
  Json pairs = Json::array();
  for (const DuplicatePair& p : across_splits) {
    pairs.push_back({{"a", records[p.a].id}, {"b", records[p.b].id}, {"correlation", p.correlation}});
  }
  const std::vector<std::string> groups = groups_across_splits(records);
  std::int64_t grouped = 0;
  for (const Record& record : records) grouped += record.group != record.id ? 1 : 0;
  return {{"method", "correlation of 32x32 thumbnails of the prepared images over four mirrorings"},
          {"threshold", kDuplicateCorrelation},
          {"pairs_compared", pairs_compared},
          {"near_duplicates_across_splits", pairs},
          {"groups_across_splits", groups},
          {"images_with_known_group", grouped},
          {"clean", across_splits.empty() && groups.empty()}};
}

}  // namespace cmunet::dataset
