// SPDX-License-Identifier: Apache-2.0
// `cmunet benchmark`: pre-training methods × numbers of labels × seeds, each cell a run of the ordinary commands with
// the same settings, in a folder that is worked on until everything is done. Choices are made on validation data; the
// test split is read by `--test` alone.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cmunet/base/config.h"
#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/benchmark_report.h"
#include "cmunet/cli/child.h"
#include "cmunet/cli/claim.h"
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
        options_(read_benchmark_options(load_toml(flags.config), flags.config)),
        jobs_(plan_benchmark(options_, flags.test)) {
    for (const std::string& store : flags.stores) dataset::Store::open(store);  // one refusal, not one for every job
  }

  Json run() {
    adopt_config();
    Waiting waiting(out_);
    for (;;) {
      if (do_next_job()) continue;
      const std::vector<std::string> held = names_of_ready_jobs();
      if (held.empty()) break;
      waiting.sleep(held);
    }
    Json document = report();
    refuse_failures();
    return document;
  }

  Json report() const { return write_benchmark_report(options_, out_, flags_.stores.front()); }

  Json plan() const {
    Json document = {{"jobs", Json::array()}};
    for (const Job& job : jobs_) {
      std::string line = "cmunet";
      for (const std::string& word : words_of(job)) line += " " + word;
      document["jobs"].push_back({{"name", job.name}, {"done", is_done(job, out_)}, {"command", line}});
    }
    return document;
  }

 private:
  // The folder belongs to one configuration: cells of different settings must not be compared.
  void adopt_config() const {
    fs::create_directories(out_);
    const fs::path copy = out_ / "benchmark.toml";
    const std::string text = read_file(flags_.config);
    if (!fs::exists(copy)) {
      write_file_atomic(copy, text);
      return;
    }
    Json before = load_toml(copy), now = load_toml(flags_.config);
    before.erase("benchmark"), now.erase("benchmark");  // more methods, labels or seeds may join
    if (before != now) {
      throw Error(ErrorCode::kInvalidArgument,
                  concat("[benchmark] ", out_.string(), " was begun with other settings than ", flags_.config),
                  "use another folder, or the settings in " + copy.string());
    }
    write_file_atomic(copy, text);
  }

  std::vector<std::string> words_of(const Job& job) const {
    const std::string folder = (out_ / job.name).string();
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
      words = {"pretrain", "--config", flags_.config, "--out", folder};
      for (const std::string& store : flags_.stores) words.insert(words.end(), {"--store", store});
    } else {
      words = {"finetune", "--config", flags_.config, "--out", folder, "--store", flags_.stores.front()};
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
    std::vector<std::string> rest = common_words(common);
    if (is_evaluation(job) && common.device == "cpu") {  // the native engine's work; --device asks for LibTorch
      const auto device = std::ranges::find(rest, "--device");
      rest.erase(device, device + 2);
    }
    words.insert(words.end(), rest.begin(), rest.end());
    return words;
  }

  // Not done, and nothing but another process's claim is in the way.
  bool is_ready(const Job& job) const {
    if (is_done(job, out_) || std::ranges::find(failed_, job.name) != failed_.end()) return false;
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
      if (!claim || is_done(job, out_)) continue;
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
    if (status != 0) {
      log_warning("[benchmark] ", job.name, " failed with status ", status);
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
                       "; ", done, " are done, ", std::ssize(jobs_) - done - std::ssize(failed_), " need what failed"),
                "their own errors are further up; the same command tries them again");
  }

  const Flags& flags_;
  const CommonOptions& common_;
  fs::path out_;
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
  app.add_flag("--report", flags->report, "only write the report of what is finished, and do nothing else");
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
