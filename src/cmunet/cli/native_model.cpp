// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/model.h"
#include "cmunet/engine/native_engine.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::cli {

Model open_model(const std::string& path, const CommonOptions& common) {
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(path));
  return {read_model_info(file), engine::make_native_engine(engine::read_unet_weights(file), common.threads)};
}

std::shared_ptr<engine::Engine> open_other_engine(const std::string& path, const CommonOptions&) {
  return engine::make_reference_engine(engine::read_unet_weights(SafetensorsFile::open(find_model_file(path))));
}

}  // namespace cmunet::cli
