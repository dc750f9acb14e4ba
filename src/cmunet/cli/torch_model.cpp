// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/model.h"
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

}  // namespace cmunet::cli
