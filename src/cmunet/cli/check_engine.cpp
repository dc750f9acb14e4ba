// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/check_engine.h"

#include <cstdio>

#include "cmunet/base/version.h"
#include "cmunet/cli/image_files.h"
#include "cmunet/cli/model.h"
#include "cmunet/codec/codec.h"
#include "cmunet/engine/check_engine.h"
#include "cmunet/preprocess/pipeline.h"

namespace cmunet::cli {

void check_engine(const std::string& model_path, const std::vector<std::string>& inputs, const CommonOptions& common) {
  CMUNET_CHECK(!inputs.empty(), ErrorCode::kInvalidArgument,
               "[check-engine] there are no images; expected: cmunet info --check-engine MODEL IMAGE…");
  const std::vector<std::filesystem::path> files = find_images(inputs, "check-engine");
  const Model model = open_model(model_path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[check-engine] ", model_path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  const std::shared_ptr<engine::Engine> reference = open_other_engine(model_path, common);
  const preprocess::Options preprocessing = preprocess::options_from_json(model.info.preprocessing, model_path);
  std::vector<image::ImageF> images;
  for (const std::filesystem::path& file : files) {
    images.push_back(preprocess::prepare_image(codec::read_image(file).grey, preprocessing).image);
  }
  const engine::EngineDifference d = engine::compare_engines(*model.engine, *reference, images);
  const Json document = {{"disclaimer", kDisclaimer},
                         {"model", model_path},
                         {"engines", {model.engine->name(), reference->name()}},
                         {"images", d.images},
                         {"pixels", d.pixels},
                         {"max_difference", d.max},
                         {"mean_difference", d.mean},
                         {"mask_pixels_that_differ", d.mask_pixels}};
  char text[256];
  std::snprintf(text, sizeof text,
                "probabilities of %lld images differ by %.2g at most and by %.2g on average;\n%lld of %lld mask pixels "
                "differ\n",
                static_cast<long long>(d.images), d.max, d.mean, static_cast<long long>(d.mask_pixels),
                static_cast<long long>(d.pixels));
  print_result(common, document,
               concat(model.engine->name(), " against ", reference->name(), ":\n", text, kDisclaimer));
}

}  // namespace cmunet::cli
