// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/image_files.h"

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/base/log.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::cli {

namespace fs = std::filesystem;

bool is_dicom(const fs::path& file) { return !codec::is_image_file(file) && dicom::is_dicom_file(file); }

std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && codec::is_image_file(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> find_images(const std::vector<std::string>& inputs, const char* operation) {
  std::vector<fs::path> files;
  for (const fs::path input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    const std::vector<fs::path> found = images_in(input);
    if (found.empty()) log_warning("[", operation, "] folder ", input.string(), " holds no image");
    files.insert(files.end(), found.begin(), found.end());
  }
  CMUNET_CHECK(!files.empty(), ErrorCode::kNotFound, "[", operation, "] there is no image in what was given");
  return files;
}

}  // namespace cmunet::cli
