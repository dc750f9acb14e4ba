// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>
#include <utility>

#include "cmunet/cli/model.h"
#include "cmunet/engine/native_engine.h"
#include "cmunet/engine/unet_weights.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/control.h"
#include "cmunet/train/pretrain.h"
#include "cmunet/train/torch_engine.h"

namespace cmunet::cli {

Model open_model(const std::string& path, const CommonOptions& common) {
  train::set_up_process(common.threads);
  train::Model model = train::load_model(path);
  ModelInfo info = model.info;
  const auto precision = std::ranges::find(train::precision_names(), std::string_view(common.precision),
                                           &std::pair<std::string_view, train::Precision>::first);
  return {std::move(info), train::make_torch_engine(std::move(model), common.device, precision->second)};
}

std::shared_ptr<engine::Engine> open_other_engine(const std::string& path, const CommonOptions& common) {
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(path));
  return engine::make_native_engine(engine::read_unet_weights(file), common.threads);
}

}  // namespace cmunet::cli
