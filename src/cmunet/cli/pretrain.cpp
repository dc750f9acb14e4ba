// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/pretrain.h"

#include <array>
#include <memory>

#include "cmunet/cli/train_support.h"

namespace cmunet::cli {
namespace {

constexpr std::array<std::string_view, 4> kOtherSections{"prepare", "benchmark", "finetune", "evaluate"};

struct Flags {
  ConfigFlags config;
  std::vector<std::string> stores;
  std::string method;
  std::string out;
  bool resume = false;
};

void run(const Flags& flags, const CommonOptions& common) {
  train::set_up_process(common.threads);
  train::PretrainOptions options;
  Fields fields;
  describe(options, fields);
  apply_config(flags.config, fields, kOtherSections);
  if (!flags.method.empty()) fields.apply_set("pretrain.method=" + flags.method);
  if (common.seed_given) options.seed = common.seed;
  train::PretrainRequest request;
  request.stores.assign(flags.stores.begin(), flags.stores.end());
  request.out = flags.out;
  request.resume = flags.resume;
  request.force = common.force;
  request.device = common.device;
  if (common.dry_run) {
    const Json plan = train::plan_pretrain(options, request);
    print_result(common, plan, plan.dump(2));
    return;
  }
  request.stop_flag = install_stop_handler();
  const Json record = train::pretrain(options, request, make_observer(common, flags.out, "Pre-training"));
  print_result(common, record, concat("pre-trained model: ", flags.out, "/checkpoints/last.safetensors"));
}

}  // namespace

void add_pretrain(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--store", flags->stores, "prepared store; may be repeated")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--method", flags->method, "cm_unet, mae, spark, moco_v2 or models_genesis");
  app.add_option("--out", flags->out, "run folder")->required();
  app.add_flag("--resume", flags->resume, "continue the run in --out");
  add_config_flags(app, flags->config);
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
