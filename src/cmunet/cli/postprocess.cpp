// SPDX-License-Identifier: Apache-2.0
// `cmunet postprocess`: chooses what is done after the network on the validation images of a store, and no others.
#include <cmath>
#include <cstdio>
#include <memory>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/parallel.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/model.h"
#include "cmunet/cli/postprocess_flags.h"
#include "cmunet/cli/postprocess_search.h"
#include "cmunet/cli/store_images.h"
#include "cmunet/metrics/metrics.h"
#include "cmunet/report/table.h"
#include "cmunet/report/text.h"
#include "cmunet/stats/summary.h"

namespace cmunet::cli {
namespace {

struct Flags {
  std::string model;
  std::string store;
  std::string out;
  bool no_flips = false;
};

/// The validation images as the search needs them: the network is run once, the rest many times.
struct Validation {
  std::vector<image::ImageF> plain, flipped;  // probabilities; `flipped` is empty without flips
  std::vector<image::Mask> targets;
};

Validation run_network(engine::Engine& engine, const dataset::Store& store, const std::vector<std::size_t>& indices,
                       bool with_flips) {
  Validation validation;
  for (const std::size_t index : indices) {
    const image::ImageF picture = image_of(store, index);
    const std::span<const image::ImageF> one(&picture, 1);
    validation.plain.push_back(engine::vessel_probability(engine, one, false).front());
    if (with_flips) validation.flipped.push_back(engine::vessel_probability(engine, one, true).front());
    validation.targets.push_back(mask_of(store, index));
  }
  return validation;
}

PostprocessScore score(const Validation& validation, const engine::PostprocessOptions& options, int threads) {
  const std::vector<image::ImageF>& probabilities = options.flips ? validation.flipped : validation.plain;
  const std::size_t n = probabilities.size();
  std::vector<double> dice(n), cl_dice(n), breaks(n);
  std::vector<std::int64_t> bridged(n), removed(n);
  for_each_parallel(n, threads, [&](std::size_t i) {
    const engine::Postprocessed done = engine::postprocess(probabilities[i], options);
    dice[i] = metrics::dice(done.mask, validation.targets[i]);
    cl_dice[i] = metrics::cl_dice(done.mask, validation.targets[i]);
    breaks[i] = metrics::breaks_per_100px(done.mask, validation.targets[i]);
    bridged[i] = std::ranges::count(done.bridges, std::uint8_t{1});
    removed[i] = done.removed_px;
  });
  std::erase_if(breaks, [](double value) { return std::isnan(value); });
  PostprocessScore result;
  result.dice = stats::mean(dice);
  result.cl_dice = stats::mean(cl_dice);
  result.breaks_per_100px = stats::mean(breaks);
  for (std::size_t i = 0; i < n; ++i) result.bridged_px += bridged[i], result.removed_px += removed[i];
  return result;
}

std::string setting_text(const PostprocessTrial& trial) {
  const engine::PostprocessOptions& o = trial.options;
  if (trial.step == "flips") return o.flips ? "on" : "off";
  if (trial.step == "hysteresis") return o.low_threshold ? report::format_fixed(*o.low_threshold, 2) : "off";
  if (trial.step == "small parts") return o.min_area_px > 0 ? concat("below ", o.min_area_px, " px") : "off";
  if (trial.step == "bridges") {
    return o.max_gap_px > 0 ? concat("up to ", o.max_gap_px, " px, p ", o.min_gap_probability) : "off";
  }
  return report::format_fixed(o.threshold, 2);
}

report::Table trial_table(const std::vector<PostprocessTrial>& trials, bool chosen_only) {
  report::Table table({{"step", 0},
                       {"setting", 0},
                       {"Dice", 4},
                       {"clDice", 4},
                       {"breaks per 100 px", 3},
                       {"pixels removed", 0},
                       {"pixels bridged", 0}});
  for (const PostprocessTrial& trial : trials) {
    if (chosen_only && !trial.is_chosen) continue;
    const PostprocessScore& s = trial.score;
    table.add_row({trial.step, setting_text(trial), s.dice, s.cl_dice, s.breaks_per_100px, s.removed_px, s.bridged_px});
  }
  return table;
}

void run(const Flags& flags, const CommonOptions& common) {
  const std::string model_path = flags.model.empty() ? default_model() : flags.model;
  const dataset::Store store = dataset::Store::open(flags.store);
  const std::vector<std::size_t> indices = labelled_in(store, dataset::Split::kVal);
  const Model model = open_model(model_path, common);
  CMUNET_CHECK(model.info.kind == "segmentation", ErrorCode::kInvalidArgument, "[postprocess] ", model_path, " is a ",
               model.info.kind, " network; expected one from cmunet finetune");
  if (model.info.preprocessing != store.manifest().value("preprocessing", Json())) {
    log_warning("[postprocess] the store was prepared with other options than the model was trained with");
  }
  check_output_file(flags.out, common.force);
  if (common.dry_run) {
    print_result(common, {{"images", indices.size()}}, concat("would use ", indices.size(), " validation images"));
    return;
  }
  const Validation validation = run_network(*model.engine, store, indices, !flags.no_flips);
  const std::vector<PostprocessTrial> trials = search_postprocessing(
      [&](const engine::PostprocessOptions& options) { return score(validation, options, common.threads); },
      !flags.no_flips);
  const auto last = std::find_if(trials.rbegin(), trials.rend(), [](const auto& trial) { return trial.is_chosen; });
  const Json document = {{"disclaimer", kDisclaimer},
                         {"postprocess", engine::to_json(last->options)},
                         {"model", model_path},
                         {"model_hash", model_hash(model_path)},
                         {"store", flags.store},
                         {"store_hash", store.content_hash()},
                         {"split", "val"},
                         {"images", indices.size()},
                         {"engine", model.engine->name()},
                         {"steps", report::to_json(trial_table(trials, true))},
                         {"tried", report::to_json(trial_table(trials, false))}};
  save_json(flags.out, document);
  print_result(common, document,
               concat("Chosen step by step on ", indices.size(), " validation images:\n",
                      report::to_text(trial_table(trials, true)), "wrote ", flags.out,
                      "; cmunet predict --postprocess uses it\n", kDisclaimer));
}

}  // namespace

void add_postprocess(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--model", flags->model, "model file or run folder; without it the model that comes with the program");
  app.add_option("--store", flags->store, "prepared store; only its validation images are looked at")->required();
  app.add_option("--out", flags->out, "JSON file for the settings")->required();
  app.add_flag("--no-flips", flags->no_flips, "leave out mirror images, which take four times the work");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
