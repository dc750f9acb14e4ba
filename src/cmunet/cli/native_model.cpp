// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/model.h"
#include "cmunet/engine/native_engine.h"

namespace cmunet::cli {

Model open_model(const std::string& path, const CommonOptions& common) {
  const SafetensorsFile file = SafetensorsFile::open(engine::find_model(path));
  engine::ModelDescription description = engine::read_model_description(file);
  return {std::move(description), engine::make_native_engine(engine::read_unet_weights(file), common.threads)};
}

}  // namespace cmunet::cli
