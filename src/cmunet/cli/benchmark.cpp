// SPDX-License-Identifier: Apache-2.0
// `cmunet benchmark`: pre-training methods × numbers of labels × seeds, each cell a run of the ordinary commands with
// the same settings, in a folder that is worked on until everything is done. Choices are made on validation data; the
// test split is read by `--test` alone.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "cmunet/base/config.h"
#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/benchmark_report.h"
#include "cmunet/cli/child.h"
#include "cmunet/cli/claim.h"
#include "cmunet/cli/store_images.h"
#include "cmunet/dataset/store.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kStopped = 6;

struct Flags {
  std::vector<std::string> stores;
  std::string config;
  std::string out;
  bool test = false;
  bool report = false;
};

class Benchmark {
 public:
  Benchmark(const Flags& flags, const CommonOptions& common)
      : flags_(flags),
        common_(common),
        out_(flags.out),
        text_(read_file(flags.config)),
        config_(load_toml(flags.config)),
        options_(read_benchmark_options(config_, flags.config)),
        jobs_(plan_benchmark(options_, flags.test)) {
    check_stores();
  }

  Json run() {
    adopt_request();
    Waiting waiting(out_);
    for (;;) {
      if (do_next_job()) continue;
      const std::vector<std::string> held = names_of_ready_jobs();
      if (held.empty()) break;
      waiting.sleep(held);
    }
    Json document = write_report();
    refuse_failures();
    return document;
  }

  // Of a folder that was begun, with these settings and data.
  Json report() const {
    CMUNET_CHECK(fs::exists(settings_file()), ErrorCode::kNotFound, "[benchmark] ", out_.string(),
                 " is no folder of a benchmark; there is no benchmark.toml in it");
    check_same_request();
    return write_report();
  }

  Json plan() const {
    check_configurations();
    Json document = {{"jobs", Json::array()}};
    for (const Job& job : jobs_) {
      document["jobs"].push_back(
          {{"name", job.name}, {"done", is_done(job, out_)}, {"command", command_line(words_of(job))}});
    }
    return document;
  }

 private:
  Json write_report() const { return write_benchmark_report(options_, out_, flags_.stores.front()); }

  // Refused here once, and not by every job.
  void check_stores() {
    std::int64_t labelled = 0;
    for (const std::string& path : flags_.stores) {
      const dataset::Store store = dataset::Store::open(path);
      identities_.push_back(dataset::identity_of(store));
      if (&path == &flags_.stores.front()) labelled = std::ssize(labelled_in(store, dataset::Split::kTrain));
    }
    for (const std::int64_t labels : options_.labels) {
      CMUNET_CHECK(labels <= labelled && labelled > 0, ErrorCode::kInvalidArgument, "[benchmark] benchmark.labels has ",
                   labels, "; the train split of ", flags_.stores.front(), " has ", labelled, " labelled images");
    }
  }

  // What a job would refuse after those before it have run for hours is refused before the first.
  void check_configurations() const {
    std::set<std::pair<JobKind, std::vector<std::string>>> checked;
    for (const Job& job : jobs_) {
      if (is_evaluation(job) || is_done(job, out_)) continue;
      if (!checked.emplace(job.kind, job.assignments).second) continue;
      check_configuration(job.kind == JobKind::kPretrain ? "pretrain" : "finetune", flags_.config, job.assignments);
    }
  }

  fs::path settings_file() const { return out_ / "benchmark.toml"; }
  fs::path data_file() const { return out_ / "data.json"; }

  // The folder belongs to one configuration and to its data: cells of different ones must not be compared.
  void check_same_request() const {
    if (!is_continuation(load_toml(settings_file()), config_)) {
      throw Error(ErrorCode::kInvalidArgument,
                  concat("[benchmark] ", out_.string(), " was begun with other settings than ", flags_.config),
                  "use another folder, or the settings in " + settings_file().string() +
                      "; methods, labels, seeds and new names may join");
    }
    if (fs::exists(data_file()) && load_json(data_file())["identities"] != Json(identities_)) {
      throw Error(ErrorCode::kInvalidArgument,
                  concat("[benchmark] ", out_.string(), " was begun with other data than --store names"),
                  "use another folder, or the stores that the folder was begun with, in their order");
    }
  }

  // Jobs read the copy: whoever edits the file meanwhile changes nothing that is running.
  void adopt_request() const {
    check_configurations();
    fs::create_directories(out_);
    if (fs::exists(settings_file())) check_same_request();
    write_file_atomic(settings_file(), text_);
    save_json(data_file(), {{"stores", flags_.stores}, {"identities", identities_}});
  }

  std::vector<std::string> words_of(const Job& job) const {
    const std::string folder = (out_ / job.name).string();
    const std::string config = fs::exists(settings_file()) ? settings_file().string() : flags_.config;  // --dry-run
    CommonOptions common = common_;
    common.seed = static_cast<std::uint64_t>(job.seed);
    common.seed_given = true;
    std::vector<std::string> words;
    if (is_evaluation(job)) {
      words = {"evaluate",
               "--model",
               (out_ / job.needs).string(),
               "--store",
               flags_.stores.front(),
               "--split",
               job.kind == JobKind::kTest ? "test" : "val",
               "--out",
               folder};
    } else if (job.kind == JobKind::kPretrain) {
      words = {"pretrain", "--config", config, "--out", folder};
      for (const std::string& store : flags_.stores) words.insert(words.end(), {"--store", store});
    } else {
      words = {"finetune", "--config", config, "--out", folder, "--store", flags_.stores.front()};
      if (job.labels > 0) words.insert(words.end(), {"--labels", std::to_string(job.labels)});
      if (!job.needs.empty()) words.insert(words.end(), {"--init", (out_ / job.needs).string()});
    }
    for (const std::string& assignment : job.assignments) {
      if (!is_evaluation(job)) words.insert(words.end(), {"--set", assignment});
    }
    if (!is_evaluation(job) && fs::exists(out_ / job.name / "checkpoints" / "last.state.safetensors")) {
      words.emplace_back("--resume");
    } else {
      words.emplace_back("--force");  // what an interrupted run left before its first checkpoint
    }
    for (const auto& rest : {common_words(common), device_words(common)}) {
      words.insert(words.end(), rest.begin(), rest.end());
    }
    return words;
  }

  // Not done, and nothing but another process's claim is in the way.
  bool is_ready(const Job& job) const {
    if (is_done(job, out_) || has_diverged(job, out_) || std::ranges::find(failed_, job.name) != failed_.end())
      return false;
    return job.needs.empty() || is_done(job_named(job.needs), out_);
  }

  std::vector<std::string> names_of_ready_jobs() const {
    std::vector<std::string> names;
    for (const Job& job : jobs_) {
      if (is_ready(job)) names.push_back(job.name);
    }
    return names;
  }

  // False when nothing is left that this process could do now.
  bool do_next_job() {
    for (const Job& job : jobs_) {
      if (!is_ready(job)) continue;
      const std::optional<Claim> claim = Claim::take(job.name, out_);
      if (!claim || !is_ready(job)) continue;
      do_job(job);
      return true;
    }
    return false;
  }

  const Job& job_named(const std::string& name) const {
    const auto found = std::ranges::find(jobs_, name, &Job::name);
    CMUNET_CHECK(found != jobs_.end(), ErrorCode::kInternal, "[benchmark] there is no job ", name);
    return *found;
  }

  void do_job(const Job& job) {
    log_info("[benchmark] ", job.name);
    fs::create_directories((out_ / job.name).parent_path());
    const int status = run_child(words_of(job), out_ / "benchmark.log");
    if (status == kStopped) {
      throw Error(ErrorCode::kCancelled, concat("[benchmark] stopped during ", job.name, "; its state is saved"),
                  "the same command continues");
    }
    if (has_diverged(job, out_)) {
      log_warning("[benchmark] ", job.name, " diverged; the page says so, and nothing is made from it");
    } else if (status != 0) {
      log_warning("[benchmark] ", job.name, " failed with ", status_text(status));
      failed_.push_back(job.name);
      return;
    }
    if (job.kind != JobKind::kPretrain) write_benchmark_report(options_, out_);
  }

  void refuse_failures() {
    std::erase_if(failed_, [this](const std::string& name) { return is_done(job_named(name), out_); });
    if (failed_.empty()) return;  // or another process succeeded
    const auto done = std::ranges::count_if(jobs_, [this](const Job& job) { return is_done(job, out_); });
    throw Error(ErrorCode::kIo,
                concat("[benchmark] ", failed_.size(), " of ", jobs_.size(), " jobs failed, first ", failed_.front(),
                       "; ", done, " are done, the others need what is not"),
                "their own errors are further up; the same command tries them again");
  }

  const Flags& flags_;
  const CommonOptions& common_;
  fs::path out_;
  std::string text_;  // of the configuration, which may be edited while this runs
  Json config_;
  std::vector<std::string> identities_;  // of the stores
  BenchmarkOptions options_;
  std::vector<Job> jobs_;
  std::vector<std::string> failed_;
};

void run(const Flags& flags, const CommonOptions& common) {
  Benchmark benchmark(flags, common);
  if (common.dry_run) {
    const Json plan = benchmark.plan();
    print_result(common, plan, plan.dump(2));
    return;
  }
  const Json document = flags.report ? benchmark.report() : benchmark.run();
  print_result(common, document, concat(flags.out, "/report.html\n", kDisclaimer));
}

}  // namespace

void add_benchmark(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--store", flags->stores, "prepared store; may be repeated: labels are the first one's")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--config", flags->config, "TOML file with a section [benchmark] and the settings of the runs")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--out", flags->out, "folder of jobs; an interrupted benchmark continues there")->required();
  app.add_flag("--test", flags->test, "at the end, evaluate every model on the test split");
  app.add_flag("--report", flags->report, "only write the report of what is finished, and do nothing else")
      ->excludes("--test");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
