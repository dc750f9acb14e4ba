// SPDX-License-Identifier: Apache-2.0
// The prepared data set: a folder with manifest.json and safetensors shards, written once, then memory-mapped.
// docs/reference/store-format.md describes it. Needs no codec and no preprocessing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/image/image.h"

namespace cmunet::dataset {

/// What an image may be used for.
enum class Split {
  kPretrain,  ///< learnt from without labels
  kTrain,     ///< fine-tuned on
  kVal,       ///< for choices: epoch, threshold
  kTest,      ///< looked at once, by `evaluate`
};

std::string_view to_string(Split split);
/// @throws Error kInvalidArgument naming the four.
Split parse_split(std::string_view name);

/// One image of a store.
struct Record {
  std::string id;      ///< unique in the store
  std::string group;   ///< patient or whatever must not be torn apart by splits; the id when unknown
  std::string source;  ///< file it came from, as given
  int source_height = 0, source_width = 0;   ///< px
  Json grid_map;                             ///< preprocess::GridMap: how the store's grid lies on the source's
  std::optional<image::Spacing> spacing_mm;  ///< on the store's grid
  Split split = Split::kTrain;
  int fold = -1;  ///< of cross-validation; -1 for none
  bool has_mask = false;
  std::string hash;  ///< of the stored pixels and mask
};

/// A store opened for reading. Copying is cheap; safe to read from several threads.
class Store {
 public:
  /// @throws Error kNotFound; kCorrupt for a damaged manifest or shard; kUnsupported for a newer format version.
  static Store open(const std::filesystem::path& dir);

  std::span<const Record> records() const;
  int height() const;
  int width() const;
  /// The prepared image, height·width floats. @throws Error kInvalidArgument for an index out of range.
  std::span<const float> image(std::size_t index) const;
  /// The mask, height·width bytes 0 or 1; empty when there is none.
  std::span<const std::uint8_t> mask(std::size_t index) const;
  const Json& manifest() const;
  /// Of all images and masks: two stores with equal hashes hold the same data.
  std::string content_hash() const;
  /// Reads everything and compares with the hashes of the manifest. @throws Error kCorrupt naming the image.
  void verify() const;

 private:
  struct Contents;
  std::shared_ptr<const Contents> contents_;
};

/// Collects images and writes them in shards of 256; nothing counts as a store until `finish` writes the manifest.
class StoreWriter {
 public:
  /// `dir` must be an existing, writable folder. Images are height × width.
  StoreWriter(std::filesystem::path dir, int height, int width);
  ~StoreWriter();

  /// Appends one image; `record.hash` and `record.has_mask` are set here. An empty mask means that there is none.
  /// @throws Error kInvalidArgument for another size, a repeated id, or mask values other than 0 and 1.
  void add(Record record, const image::ImageF& image, const image::Mask& mask);
  /// Writes the last shard and manifest.json. `details` is merged into the manifest (source, preprocessing,
  /// statistics, leakage certificate). @throws Error kIo.
  void finish(const Json& details);

 private:
  struct Pending;
  std::unique_ptr<Pending> pending_;
};

/// Of the pixels, and of who is in which split: stores of one identity give the same runs.
std::string identity_of(const Store& store);

/// The first `n` labelled records of a split in one seeded order: smaller subsets are part of larger ones.
/// @throws Error kInvalidArgument when there are fewer than n.
std::vector<std::size_t> label_subset(const Store& store, Split split, std::size_t n, std::uint64_t seed);

}  // namespace cmunet::dataset
