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
};

train::PretrainOptions options_of(const Flags& flags, const CommonOptions& common) {
  std::vector<std::string> method;
  if (!flags.method.empty()) method.push_back("pretrain.method=" + flags.method);
  return read_options<train::PretrainOptions>(flags.config, kOtherSections, method, flags.run, common);
}

void run(const Flags& flags, const CommonOptions& common) {
  if (flags.config.check_only) return check_only(options_of(flags, common), common);
  const Processes processes(common, flags.run);
  const train::PretrainOptions options = options_of(flags, common);
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
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
