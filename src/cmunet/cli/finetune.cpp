// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/finetune.h"

#include <array>
#include <cstdio>
#include <memory>

#include "cmunet/cli/train_support.h"

namespace cmunet::cli {
namespace {

constexpr std::array<std::string_view, 4> kOtherSections{"prepare", "tune", "benchmark", "pretrain"};

struct Flags {
  ConfigFlags config;
  std::string store;
  std::string init;
  int labels = 0;
  RunFlags run;
};

std::string summary(const Json& record, const std::string& out) {
  std::string text =
      concat("model: ", out, "/checkpoints/", record.contains("best_step") ? "best.safetensors" : "last.safetensors");
  if (record.contains("best_step")) {
    char dice[32];
    std::snprintf(dice, sizeof dice, "%.4f", record["best_val_dice"].get<double>());
    text += concat("\nvalidation Dice ", dice, " at step ", record["best_step"].get<std::int64_t>());
  }
  return text;
}

train::FinetuneOptions options_of(const Flags& flags, const CommonOptions& common) {
  return read_options<train::FinetuneOptions>(flags.config, kOtherSections, {}, flags.run, common);
}

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.config.check_only) return check_only(options_of(flags, common), common);
  const Processes processes(common, flags.run);
  const train::FinetuneOptions options = options_of(flags, common);
  train::FinetuneRequest request;
  request.store = flags.store;
  request.init = flags.init;
  request.labels = flags.labels;
  set_up_request(common, flags.run, processes, request);
  if (common.dry_run) {
    const Json plan = train::plan_finetune(options, request);
    if (processes.lead()) print_result(common, plan, plan.dump(2));
    return;
  }
  request.stop_flag = install_stop_handler();
  const Json record = train::finetune(options, request, make_observer(common, request.out, "Fine-tuning"));
  if (processes.lead()) print_result(common, record, summary(record, flags.run.out));
}

}  // namespace

void add_finetune(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--store", flags->store, "prepared store with a labelled train split")->required();
  app.add_option("--init", flags->init, "pre-trained run folder or weights; without it training starts from scratch");
  app.add_option("--labels", flags->labels, "use this many labelled images (nested, by seed); 0 for all")
      ->check(CLI::NonNegativeNumber);
  add_run_flags(app, flags->run);
  add_config_flags(app, flags->config);
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
