// SPDX-License-Identifier: Apache-2.0
// Who may be learnt from and who is held out: by group, so that no patient stands on both sides.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/dataset/store.h"

namespace cmunet::dataset {

/// How images are divided.
struct SplitRule {
  enum class Kind {
    kOne,      ///< all into one split: "train"
    kSizes,    ///< "train=0.7,val=0.1,test=0.2" (shares of the images) or "train=18,test=50" (counts; rest: pretrain)
    kRatio,    ///< the paper's "79:1": pretrain and train in percent of all images, the rest is test
    kSklearn,  ///< "sklearn:79:1": the reference code's image-level split with seed 42, for comparison with it
  };
  Kind kind = Kind::kOne;
  Split one = Split::kTrain;
  std::array<std::optional<double>, 4> sizes;  ///< by Split; shares when all are at most 1
  double pretrain_part = 0, train_part = 0;
};

/// @throws Error kInvalidArgument explaining the forms.
SplitRule parse_split_rule(const std::string& text);

/// One split per image. Images of one group stay together (except with kSklearn, which knows no groups); groups are
/// taken in a seeded order until a split has its size, so sizes are met to within one group.
/// @param groups  one per image
std::vector<Split> assign_splits(const std::vector<std::string>& groups, const SplitRule& rule, std::uint64_t seed);

/// Fold 0 … k−1 for each image, whole groups, sizes as even as groups allow. @throws Error kInvalidArgument.
std::vector<int> assign_folds(const std::vector<std::string>& groups, int folds, std::uint64_t seed);

/// Sizes of the paper's splits of n images at a ratio such as 79:1 (facts: 1738 images: 348 test; 1372 and 18).
struct RatioSizes {
  std::int64_t test = 0, pretrain = 0, train = 0;
};
RatioSizes ratio_sizes(std::int64_t n, double pretrain_part, double train_part);

}  // namespace cmunet::dataset
