// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/evaluate_model.h"

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/parallel.h"
#include "cmunet/cli/model.h"
#include "cmunet/cli/store_images.h"
#include "cmunet/metrics/evaluation.h"
#include "cmunet/report/evaluation_report.h"

namespace cmunet::cli {
namespace {

std::vector<image::Mask> segment(engine::Engine& engine, const dataset::Store& store,
                                 const std::vector<std::size_t>& indices, const engine::PostprocessOptions& options) {
  std::vector<image::Mask> masks;
  for (const std::size_t index : indices) {
    const image::ImageF picture = image_of(store, index);
    masks.push_back(
        engine::postprocess(engine::vessel_probability(engine, std::span(&picture, 1), options.flips).front(), options)
            .mask);
  }
  return masks;
}

std::vector<report::Example> examples_of(const metrics::Evaluation& evaluation, const dataset::Store& store,
                                         const std::vector<std::size_t>& indices,
                                         const std::vector<image::Mask>& preds) {
  std::vector<report::Example> examples;
  for (const std::size_t pick : report::pick_examples(evaluation).all()) {
    examples.push_back(
        {evaluation.images[pick].id, image_of(store, indices[pick]), preds[pick], mask_of(store, indices[pick])});
  }
  return examples;
}

}  // namespace

void evaluate_model(const EvaluateModelFlags& flags, const std::string& out, const CommonOptions& common) {
  const dataset::Store store = dataset::Store::open(flags.store);
  const std::vector<std::size_t> indices = labelled_in(store, dataset::parse_split(flags.split));
  const Model model = open_model(flags.model, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[evaluate] ", flags.model, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  if (model.info.preprocessing != store.manifest().value("preprocessing", Json())) {
    log_warning("[evaluate] the store was prepared with other options than the model was trained with");
  }
  const engine::PostprocessOptions postprocessing = read_postprocessing(flags.postprocess, flags.model);
  if (!out.empty()) check_output_folder(out, common.force);
  if (common.dry_run) {
    print_result(common, {{"images", indices.size()}}, concat("would evaluate ", indices.size(), " images"));
    return;
  }
  if (!out.empty()) prepare_output_folder(out, common.force);
  const std::vector<image::Mask> preds = segment(*model.engine, store, indices, postprocessing);
  std::vector<metrics::ImageResult> results(indices.size());
  for_each_parallel(indices.size(), common.threads, [&](std::size_t i) {
    results[i] = {store.records()[indices[i]].id, metrics::measure(preds[i], mask_of(store, indices[i]))};
  });
  const metrics::Evaluation evaluation = metrics::summarise(std::move(results), common.seed);
  const Json model_details = {{"file", find_model_file(flags.model).string()},
                              {"method", model.info.method},
                              {"base_width", model.info.base_width}};
  const Json source = {{"model", model_details},
                       {"store", flags.store},
                       {"store_hash", store.content_hash()},
                       {"split", flags.split},
                       {"seed", common.seed},
                       {"threshold", postprocessing.threshold},
                       {"postprocess", engine::to_json(postprocessing)},
                       {"engine", model.engine->name()}};
  if (!out.empty()) {
    report::EvaluationPage page;
    page.source = source;
    report::write_evaluation(out, evaluation, examples_of(evaluation, store, indices, preds), page);
  }
  print_result(common, report::evaluation_json(evaluation, source), report::evaluation_text(evaluation));
}

}  // namespace cmunet::cli
