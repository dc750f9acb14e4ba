// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/labelled_data.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>

#include "cmunet/base/error.h"
#include "cmunet/dataset/split.h"
#include "cmunet/dataset/store.h"
#include "cmunet/image/thinning.h"

namespace cmunet::train {
namespace {

constexpr int kTubeRadius = 2;

constexpr std::array<std::pair<std::string_view, Validation>, 3> kValidationNames{
    {{"split", Validation::kSplit}, {"fold", Validation::kFold}, {"none", Validation::kNone}}};

std::vector<std::size_t> labelled_indices(const dataset::Store& store, dataset::Split split) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    if (store.records()[i].split == split && store.records()[i].has_mask) indices.push_back(i);
  }
  return indices;
}

std::vector<std::size_t> fine_tuning_set(const dataset::Store& store, const LabelledDataOptions& options,
                                         const std::string& origin) {
  const std::vector<std::size_t> all = labelled_indices(store, dataset::Split::kTrain);
  if (all.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[finetune] store ", origin, " has no labelled image in its train split"),
                "prepare it with --masks, or look at it with cmunet info");
  }
  if (options.labels == 0) return all;
  CMUNET_CHECK(static_cast<std::size_t>(options.labels) <= all.size(), ErrorCode::kInvalidArgument,
               "[finetune] --labels is ", options.labels, " but the train split has ", all.size(), " labelled images");
  return dataset::label_subset(store, dataset::Split::kTrain, static_cast<std::size_t>(options.labels), options.seed);
}

struct Parts {
  std::vector<std::size_t> train, val;
};

// True when the store's folds, as cmunet prepare --folds drew them, are as many as are asked for, and each has an image
// among these.
bool has_folds(const dataset::Store& store, const std::vector<std::size_t>& images, int folds) {
  int count = 0;
  for (const std::size_t i : labelled_indices(store, dataset::Split::kTrain)) {
    count = std::max(count, store.records()[i].fold + 1);
  }
  std::vector<bool> is_used(static_cast<std::size_t>(folds), false);
  for (const std::size_t i : images) {
    const int fold = store.records()[i].fold;
    if (fold < 0 || fold >= folds) return false;
    is_used[static_cast<std::size_t>(fold)] = true;
  }
  return count == folds && std::ranges::all_of(is_used, [](bool used) { return used; });
}

std::vector<int> folds_of(const dataset::Store& store, const std::vector<std::size_t>& images,
                          const LabelledDataOptions& options) {
  if (has_folds(store, images, options.folds)) {
    std::vector<int> folds;
    for (const std::size_t i : images) folds.push_back(store.records()[i].fold);
    return folds;
  }
  std::vector<std::string> groups;
  for (const std::size_t i : images) groups.push_back(store.records()[i].group);
  return dataset::assign_folds(groups, options.folds, options.seed);
}

Parts divide(const dataset::Store& store, const std::vector<std::size_t>& images, const LabelledDataOptions& options) {
  if (options.validation == Validation::kNone) return {images, {}};
  if (options.validation == Validation::kSplit) return {images, labelled_indices(store, dataset::Split::kVal)};
  const std::vector<int> folds = folds_of(store, images, options);
  Parts parts;
  for (std::size_t i = 0; i < images.size(); ++i) {
    (folds[i] == options.fold ? parts.val : parts.train).push_back(images[i]);
  }
  return parts;
}

}  // namespace

std::span<const std::pair<std::string_view, Validation>> validation_names() { return kValidationNames; }

LabelledData load_labelled_data(const std::filesystem::path& store_path, const LabelledDataOptions& options,
                                at::Device device) {
  const dataset::Store store = dataset::Store::open(store_path);
  const std::vector<std::size_t> images = fine_tuning_set(store, options, store_path.string());
  const Parts parts = divide(store, images, options);
  return {augment::to_device(store, parts.train, device, options.image_type),
          augment::to_device(store, parts.val, device, options.image_type),
          static_cast<std::int64_t>(images.size()),
          store.manifest().value("preprocessing", Json()),
          store.height(),
          store.width(),
          store.content_hash()};
}

at::Tensor skeleton_tubes(const at::Tensor& masks) {
  const at::Tensor host = masks.to(at::kCPU, at::kByte).contiguous();
  const int height = static_cast<int>(host.size(1)), width = static_cast<int>(host.size(2));
  at::Tensor skeletons = torch::empty_like(host);
  for (std::int64_t n = 0; n < host.size(0); ++n) {
    image::Mask mask(height, width);
    std::copy_n(host[n].data_ptr<std::uint8_t>(), mask.size(), mask.data());
    const image::Mask skeleton = image::thin(mask);
    std::copy_n(skeleton.data(), skeleton.size(), skeletons[n].data_ptr<std::uint8_t>());
  }
  at::Tensor tube = skeletons.to(masks.device(), at::kFloat).unsqueeze(1);
  for (int i = 0; i < kTubeRadius; ++i) {  // a cross, as often as the diamond's radius
    tube = torch::maximum(torch::max_pool2d(tube, {3, 1}, 1, {1, 0}), torch::max_pool2d(tube, {1, 3}, 1, {0, 1}));
  }
  return tube.squeeze(1).to(at::kByte) * masks.to(at::kByte);
}

}  // namespace cmunet::train
