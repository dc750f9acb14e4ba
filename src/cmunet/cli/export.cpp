// SPDX-License-Identifier: Apache-2.0
// `cmunet export`: a model in a form that other programs run.
#include <filesystem>
#include <memory>

#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/engine/onnx_export.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string model;
  std::string onnx;
};

void run(const Flags& flags, const CommonOptions& common) {
  const SafetensorsFile file = SafetensorsFile::open(engine::find_model(flags.model));
  const engine::ModelDescription description = engine::read_model_description(file);
  CMUNET_CHECK(description.kind == "segmentation", ErrorCode::kInvalidArgument, "[export] ", flags.model, " is a ",
               description.kind, " network; expected one from cmunet finetune");
  const preprocess::Options preprocessing = preprocess::options_from_json(description.preprocessing, flags.model);
  const Json document = {{"disclaimer", kDisclaimer}, {"model", file.path().string()}, {"onnx", flags.onnx}};
  if (common.dry_run) {
    print_result(common, document, concat("would write ", flags.onnx));
    return;
  }
  if (fs::exists(flags.onnx) && !common.force) {
    throw Error(ErrorCode::kInvalidArgument, concat("[export] ", flags.onnx, " exists already"),
                "--force overwrites it");
  }
  engine::export_onnx(flags.onnx, engine::read_unet_weights(file), preprocessing);
  print_result(common, document,
               concat(flags.onnx, ": grey [N, 1, H, W] in, vessel_probability [N, H, W] out\n", kDisclaimer));
}

}  // namespace

void add_export(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder")->required();
  app.add_option("--onnx", flags->onnx, "file to write: normalisation, network and softmax in one graph")->required();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
