// SPDX-License-Identifier: Apache-2.0
// From listed images to a store: decode, preprocess, divide, check for leakage, write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/dataset/item.h"
#include "cmunet/dataset/split.h"
#include "cmunet/preprocess/pipeline.h"

namespace cmunet::dataset {

struct PrepareRequest {
  std::vector<Item> items;
  preprocess::Options preprocessing;
  SplitRule rule;  ///< for items whose source names no split
  int folds = 0;   ///< cross-validation folds within the train split; 0 for none
  std::uint64_t seed = 42;
  int threads = 1;
  bool allow_duplicates = false;  ///< write the store although near-duplicates stand across splits
  /// leave out one of each pair of near-duplicates across splits: from pretrain rather than train, then val, never test
  bool drop_duplicates = false;
  bool group_duplicates = false;  ///< put near-duplicates into one group before dividing
  Json source;                    ///< how the data was given, for the manifest
};

/// A decoded, preprocessed image. @throws Error with the path when the image or mask cannot be used.
struct PreparedItem {
  image::ImageF image;
  image::Mask mask;                         ///< empty when there is none
  int source_height = 0, source_width = 0;  ///< as stored, which is not `map`'s where pixels are not square
  preprocess::GridMap map;
  std::int64_t antialiased_pixels = 0;  ///< mask pixels that were neither 0 nor the mask's largest value
};
PreparedItem prepare_item(const Item& item, const preprocess::Options& options);

/// Writes the store into the existing folder `out` and returns its manifest without the image rows.
/// What was left out stands in the manifest's leakage certificate under "dropped".
/// @throws Error kInvalidArgument when near-duplicates or groups stand across splits (listing them), and whatever
/// reading an image throws; then no manifest is written.
Json prepare_store(const PrepareRequest& request, const std::filesystem::path& out);

/// Gives colliding ids the split's or a running number as prefix, so that several folders fit into one store.
void make_ids_unique(std::vector<Item>& items);

/// Sets each item's group to the first capture of `pattern` in its file name.
/// @throws Error kInvalidArgument for a bad pattern, or listing names that do not match.
void group_by_regex(std::vector<Item>& items, const std::string& pattern);

}  // namespace cmunet::dataset
