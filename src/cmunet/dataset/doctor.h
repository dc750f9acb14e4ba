// SPDX-License-Identifier: Apache-2.0
// What is wrong with a data set, and how to mend it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"

namespace cmunet::dataset {

struct Finding {
  bool is_error = false;  ///< `prepare` would refuse it; otherwise worth knowing
  std::string what;       ///< e.g. "mask_size"
  std::string where;      ///< file or image id
  std::string message;
  std::string fix;
};

/// Looks at a store, at a folder in nnU-Net's raw layout, or at a folder of images: those in its images/ where there is
/// one, with masks in its folder masks, labels or, when that holds images, annotations.
/// @throws Error kNotFound when `path` is neither.
std::vector<Finding> examine(const std::filesystem::path& path, int threads);

/// {"findings": [{"level", "what", "where", "message", "fix"}], "errors", "warnings"}.
Json to_json(const std::vector<Finding>& findings);

}  // namespace cmunet::dataset
