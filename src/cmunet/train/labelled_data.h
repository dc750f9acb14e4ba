// SPDX-License-Identifier: Apache-2.0
// The images that fine-tuning learns from, and those that it is measured on meanwhile.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cmunet/augment/batch.h"
#include "cmunet/base/json.h"

namespace cmunet::train {

/// Where the images come from that a fine-tuned model is measured on while it learns. Never test.
enum class Validation {
  kSplit,  ///< the store's val split
  kFold,   ///< one fold of the fine-tuning set, which is then not learnt from: cross-validation
  kNone,   ///< nowhere: the last step is the model
};
std::span<const std::pair<std::string_view, Validation>> validation_names();

struct LabelledDataOptions {
  Validation validation = Validation::kSplit;
  int folds = 3;
  int fold = 0;             ///< 0 … folds − 1
  int labels = 0;           ///< how many images of the train split are the fine-tuning set, seeded and nested; 0: all
  std::uint64_t seed = 42;  ///< of that subset, and of the folds
  at::ScalarType image_type = at::kFloat;  ///< of the images in memory: float, or half
};

struct LabelledData {
  augment::DeviceStore train, val;
  std::int64_t fine_tuning_images = 0;  ///< of all folds
  Json preprocessing;
  int height = 0, width = 0;
  std::string content_hash;
};

/// Reads nothing but the train split's labelled images and, with kSplit, the val split's. Folds keep groups (patients)
/// together: they are the store's where it has as many and each holds one of the images, else drawn by the seed.
/// @throws Error kInvalidArgument when there are too few of them; as Store::open.
LabelledData load_labelled_data(const std::filesystem::path& store, const LabelledDataOptions& options,
                                at::Device device);

/// Centrelines of masks, two pixels wider on all sides (a diamond) and cut to the mask: what skeleton recall counts.
/// @param masks  [N, H, W] uint8 or int64, 0 or 1, on any device. @return [N, H, W] uint8 there.
at::Tensor skeleton_tubes(const at::Tensor& masks);

}  // namespace cmunet::train
