// SPDX-License-Identifier: Apache-2.0
// `cmunet evaluate --model … --store … --split …`: a model's segmentations of one split against the truth, on the
// store's grid.
#include <algorithm>
#include <array>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/cli/train_support.h"
#include "cmunet/dataset/store.h"
#include "cmunet/metrics/evaluation.h"
#include "cmunet/report/evaluation_report.h"
#include "cmunet/train/torch_engine.h"

namespace cmunet::cli {
namespace {

struct Flags {
  std::string model;
  std::string store;
  std::string split = "test";
  std::string out;
  double threshold = 0.5;
};

image::ImageF image_of(const dataset::Store& store, std::size_t index) {
  image::ImageF picture(store.height(), store.width());
  std::ranges::copy(store.image(index), picture.begin());
  picture.spacing_mm = store.records()[index].spacing_mm;
  return picture;
}

image::Mask mask_of(const dataset::Store& store, std::size_t index) {
  image::Mask mask(store.height(), store.width());
  std::ranges::copy(store.mask(index), mask.begin());
  return mask;
}

std::vector<std::size_t> labelled_in(const dataset::Store& store, dataset::Split split) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < store.records().size(); ++i) {
    if (store.records()[i].split == split && store.records()[i].has_mask) indices.push_back(i);
  }
  return indices;
}

void check_preprocessing(const train::Model& model, const dataset::Store& store) {
  if (model.info.preprocessing != store.manifest().value("preprocessing", Json())) {
    log_warning("[evaluate] the store was prepared with other options than the model was trained with");
  }
}

void run(const Flags& flags, const CommonOptions& common) {
  train::set_up_process(common.threads);
  const dataset::Store store = dataset::Store::open(flags.store);
  const std::vector<std::size_t> indices = labelled_in(store, dataset::parse_split(flags.split));
  if (indices.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[evaluate] store ", flags.store, " has no labelled image in its ", flags.split, " split"),
                "cmunet info STORE shows what each split holds");
  }
  train::Model model = train::load_model(flags.model);
  check_preprocessing(model, store);
  const Json model_details = {{"file", find_model_file(flags.model).string()},
                              {"method", model.info.method},
                              {"base_width", model.info.base_width}};
  if (common.dry_run) {
    print_result(common, {{"images", indices.size()}}, concat("would evaluate ", indices.size(), " images"));
    return;
  }
  if (!flags.out.empty()) prepare_output_folder(flags.out, common.force);
  const auto engine = train::make_torch_engine(std::move(model), common.device);
  std::vector<image::Mask> preds;
  std::vector<metrics::ImageResult> results;
  for (const std::size_t index : indices) {
    const image::ImageF picture = image_of(store, index);
    const image::ImageF probability = engine->vessel_probability(std::span(&picture, 1)).front();
    image::Mask& pred = preds.emplace_back(probability.height(), probability.width());
    std::ranges::transform(probability, pred.begin(),
                           [&](float p) -> std::uint8_t { return static_cast<double>(p) > flags.threshold ? 1 : 0; });
    results.push_back({store.records()[index].id, metrics::measure(pred, mask_of(store, index))});
  }
  const metrics::Evaluation evaluation = metrics::summarise(std::move(results), common.seed);
  const Json source = {{"model", model_details}, {"store", flags.store},         {"store_hash", store.content_hash()},
                       {"split", flags.split},   {"threshold", flags.threshold}, {"engine", engine->name()}};
  if (!flags.out.empty()) {
    std::vector<report::Example> examples;
    for (const std::size_t pick : report::pick_examples(evaluation).all()) {
      examples.push_back(
          {evaluation.images[pick].id, image_of(store, indices[pick]), preds[pick], mask_of(store, indices[pick])});
    }
    report::EvaluationPage page;
    page.source = source;
    report::write_evaluation(flags.out, evaluation, examples, page);
  }
  print_result(common, report::evaluation_json(evaluation, source), report::evaluation_text(evaluation));
}

}  // namespace

void add_evaluate_model(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder")->required();
  app.add_option("--store", flags->store, "prepared store")->required();
  app.add_option("--split", flags->split, "train, val or test")->capture_default_str();
  app.add_option("--out", flags->out, "folder for evaluation.csv, evaluation.json and report.html");
  app.add_option("--threshold", flags->threshold, "vessel above this probability")->capture_default_str();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
