// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <filesystem>

#include "cmunet/base/error.h"
#include "cmunet/cli/model.h"

namespace cmunet::cli {

std::string default_model() {
  namespace fs = std::filesystem;
  const fs::path here = program_folder();
  for (const fs::path& folder : std::array{here / "../share/cmunet", here / "../../../models"}) {
    const fs::path path = folder / "coronary-small.safetensors";
    if (fs::exists(path)) return path.lexically_normal().string();
  }
  throw Error(ErrorCode::kNotFound, concat("[predict] there is no coronary-small.safetensors near ", here.string()),
              "--model names a model file or a run folder");
}

}  // namespace cmunet::cli
