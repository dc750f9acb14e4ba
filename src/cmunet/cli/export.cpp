// SPDX-License-Identifier: Apache-2.0
// `cmunet export`: a model in a form that other programs run.
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/model_file.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/engine/half_precision.h"
#include "cmunet/engine/onnx_export.h"
#include "cmunet/engine/unet_weights.h"

namespace cmunet::cli {
namespace {

struct Flags {
  std::string model;
  std::string onnx;
  std::string half;
};

void run(const Flags& flags, const CommonOptions& common) {
  CMUNET_CHECK(!flags.onnx.empty() || !flags.half.empty(), ErrorCode::kInvalidArgument,
               "[export] there is nothing to write; expected --onnx or --half");
  const SafetensorsFile file = SafetensorsFile::open(find_model_file(flags.model));
  const ModelInfo info = read_model_info(file);
  CMUNET_CHECK(info.kind == "segmentation", ErrorCode::kInvalidArgument, "[export] ", flags.model, " is a ", info.kind,
               " network; expected one from cmunet finetune");
  const preprocess::Options preprocessing = preprocess::options_from_json(info.preprocessing, flags.model);
  for (const std::string& path : {flags.onnx, flags.half}) {
    if (!path.empty()) check_output_file(path, common.force);
  }
  Json document = {{"disclaimer", kDisclaimer}, {"model", file.path().string()}};
  std::string text;
  if (!flags.onnx.empty()) {
    if (!common.dry_run) engine::export_onnx(flags.onnx, engine::read_unet_weights(file), preprocessing);
    document["onnx"] = flags.onnx;
    text += concat(flags.onnx, ": grey [N, 1, H, W] in, vessel_probability [N, H, W] out\n");
  }
  if (!flags.half.empty()) {
    if (!common.dry_run) engine::write_half_precision(file, flags.half);
    document["half"] = flags.half;
    text += concat(flags.half, ": the model, its weights in half precision\n");
  }
  print_result(common, document, concat(common.dry_run ? "would write\n" : "", text, kDisclaimer));
}

}  // namespace

void add_export(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder")->required();
  app.add_option("--onnx", flags->onnx, "ONNX file to write: normalisation, network and softmax in one graph");
  app.add_option("--half", flags->half, "model file to write, its weights in half precision");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
