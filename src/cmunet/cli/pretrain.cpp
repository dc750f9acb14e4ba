// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/pretrain.h"

#include <array>
#include <memory>

#include "cmunet/cli/train_support.h"

namespace cmunet::cli {
namespace {

constexpr std::array<std::string_view, 4> kOtherSections{"prepare", "tune", "benchmark", "finetune"};

struct Flags {
  ConfigFlags config;
  std::vector<std::string> stores;
  std::string method;
  RunFlags run;
  bool check_config = false;
};

train::PretrainOptions read_options(const Flags& flags, const CommonOptions& common) {
  train::PretrainOptions options;
  Fields fields;
  describe(options, fields);
  apply_config(flags.config, fields, kOtherSections);
  if (!flags.method.empty()) fields.apply_set("pretrain.method=" + flags.method);
  apply_run_flags(flags.run, fields);
  if (common.seed_given) options.seed = common.seed;
  return options;
}

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.check_config) {
    read_options(flags, common).check();
    print_result(common, {{"config", "in order"}}, "the configuration is in order");
    return;
  }
  const Processes processes(common, flags.run);
  const train::PretrainOptions options = read_options(flags, common);
  train::PretrainRequest request;
  request.stores.assign(flags.stores.begin(), flags.stores.end());
  set_up_request(common, flags.run, processes, request);
  if (common.dry_run) {
    const Json plan = train::plan_pretrain(options, request);
    if (processes.lead()) print_result(common, plan, plan.dump(2));
    return;
  }
  request.stop_flag = install_stop_handler();
  const Json record = train::pretrain(options, request, make_observer(common, request.out, "Pre-training"));
  if (!processes.lead()) return;
  print_result(common, record, concat("pre-trained model: ", flags.run.out, "/checkpoints/last.safetensors"));
}

}  // namespace

void add_pretrain(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--store", flags->stores, "prepared store; may be repeated")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--method", flags->method, "cm_unet, mae, spark, moco_v2 or models_genesis");
  add_run_flags(app, flags->run);
  add_config_flags(app, flags->config);
  app.add_flag("--check-config", flags->check_config, "only check the configuration; no store is opened");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
