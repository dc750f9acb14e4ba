// SPDX-License-Identifier: Apache-2.0
// What the commands of cmunet-train share: config loading, several processes, progress, pictures, stopping on signals.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/cli/command.h"
#include "cmunet/nn/communicator.h"
#include "cmunet/train/control.h"
#include "cmunet/train/launch.h"
#include "cmunet/train/run_folder.h"

namespace cmunet::cli {

/// --config and --set of a training command.
struct ConfigFlags {
  std::string file;
  std::vector<std::string> assignments;
  bool check_only = false;
};
void add_config_flags(CLI::App& app, ConfigFlags& flags);

/// Applies the file's sections that `fields` describes, then the assignments. @param other_sections are skipped.
void apply_config(const ConfigFlags& flags, Fields& fields, std::span<const std::string_view> other_sections);

/// Flags of commands that train for long and in several processes.
struct RunFlags {
  std::string out;
  bool resume = false;
  bool auto_resume = false;
  std::string kernels;  ///< empty: as the config says
  double peer_timeout_s = 600;
};
void add_run_flags(CLI::App& app, RunFlags& flags);
/// Puts --kernels, when given, into the options.
void apply_run_flags(const RunFlags& flags, Fields& fields);

/// Of the file and --set, then `more`, which flags of the command itself assign, then --kernels and --seed.
template <typename Options>
Options read_options(const ConfigFlags& config, std::span<const std::string_view> other_sections,
                     const std::vector<std::string>& more, const RunFlags& run, const CommonOptions& common) {
  Options options;
  Fields fields;
  describe(options, fields);
  apply_config(config, fields, other_sections);
  for (const std::string& assignment : more) fields.apply_set(assignment);
  apply_run_flags(run, fields);
  if (common.seed_given) options.seed = common.seed;
  return options;
}

/// For --check-config, in place of a run.
template <typename Options>
void check_only(const Options& options, const CommonOptions& common) {
  options.check();
  print_result(common, {{"config", "in order"}}, "the configuration is in order");
}

/// This process among those that were started together (torchrun, mpirun, SLURM), while it lives. Only the leading one
/// speaks; threads and GPUs of a machine are divided.
class Processes {
 public:
  Processes(const CommonOptions& common, const RunFlags& flags);
  bool lead() const { return peers_->leads(); }
  const train::Launch& launch() const { return launch_; }

 private:
  train::Launch launch_;
  std::unique_ptr<nn::Communicator> peers_;
  nn::CommunicatorScope scope_;
};

/// What the leading process says, in all: those of another machine may not see a file yet that was just written.
bool of_leader(bool own);

/// Fills in what a `train::PretrainRequest` and a `train::FinetuneRequest` have in common.
template <typename Request>
void set_up_request(const CommonOptions& common, const RunFlags& flags, const Processes& processes, Request& request) {
  request.out = flags.out;
  request.resume = flags.resume || (flags.auto_resume && of_leader(train::RunFolder::has_state(flags.out)));
  // A run that ended before its first checkpoint is begun again.
  request.force = common.force || (flags.auto_resume && std::filesystem::exists(request.out / "config.toml"));
  request.device = train::device_of(processes.launch(), common.device);
}

/// Set by SIGINT, SIGTERM and SIGUSR1 after `install_stop_handler`; the loop then saves and stops. A second SIGINT
/// kills.
const std::atomic<bool>* install_stop_handler();

/// In the leading process; others get one that is silent. A progress bar on a terminal, plain lines otherwise (one per
/// epoch), nothing when quiet; pictures go to `run_dir`/pictures, and `run_dir`/report.html under `title` is renewed
/// with every line of metrics.jsonl.
train::Observer make_observer(const CommonOptions& common, const std::filesystem::path& run_dir,
                              const std::string& title);

}  // namespace cmunet::cli
