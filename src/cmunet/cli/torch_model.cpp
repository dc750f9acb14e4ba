// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/model.h"
#include "cmunet/engine/native_engine.h"
#include "cmunet/engine/unet_weights.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/control.h"
#include "cmunet/train/torch_engine.h"

namespace cmunet::cli {

Model open_model(const std::string& path, const CommonOptions& common) {
  train::set_up_process(common.threads);
  train::Model model = train::load_model(path);
  ModelInfo info = model.info;
  return {std::move(info), train::make_torch_engine(std::move(model), common.device)};
}

std::shared_ptr<engine::Engine> open_other_engine(const std::string& path, const CommonOptions& common) {
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(path));
  return engine::make_native_engine(engine::read_unet_weights(file), common.threads);
}

}  // namespace cmunet::cli
