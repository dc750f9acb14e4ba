// SPDX-License-Identifier: Apache-2.0
// `cmunet tune`: settings of fine-tuning by cross-validation inside the fine-tuning set (the train split, or --labels N
// of it), then one model from all of it with the settings and the number of steps that did best. Every run is an
// ordinary `cmunet finetune` in a folder that is worked on until everything is done. Neither val nor test is opened.
#include <filesystem>
#include <memory>
#include <set>

#include "cmunet/base/config.h"
#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/model_file.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/child.h"
#include "cmunet/cli/claim.h"
#include "cmunet/cli/tune_plan.h"
#include "cmunet/cli/tune_report.h"
#include "cmunet/dataset/store.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kStopped = 6;
constexpr int kDiverged = 5;
constexpr const char* kFinal = "final";

struct Flags {
  std::string store, init, out, config;
  int labels = 0;
  std::vector<std::string> assignments;
};

Json config_of(const Flags& flags) { return flags.config.empty() ? Json::object() : load_toml(flags.config); }

class Tuning {
 public:
  Tuning(const Flags& flags, const CommonOptions& common)
      : flags_(flags),
        common_(common),
        out_(flags.out),
        options_(read_tune_options(config_of(flags), flags.config)),
        settings_(settings_of(options_)),
        waiting_(out_) {
    dataset::Store::open(flags.store);  // one refusal, not one for every run
  }

  Json run() {
    adopt_request();
    gather();
    for (;;) {
      if (do_next_fold()) continue;
      gather();
      const std::vector<std::string> held = names_of_open_folds();
      if (held.empty()) break;
      waiting_.sleep(held);
    }
    if (!failed_.empty()) {
      throw Error(ErrorCode::kIo, concat("[tune] ", failed_.size(), " runs failed, first ", *failed_.begin()),
                  "their own errors are further up; the same command tries them again");
    }
    const auto best = best_of(scores_, options_.folds);
    CMUNET_CHECK(best.has_value(), ErrorCode::kNumeric, "[tune] training diverged with every setting of the grid");
    train_final(*best);
    return report();
  }

  Json plan() const {
    check_configurations();
    Json runs = Json::array();
    for (const Setting& setting : settings_) {
      for (int fold = 0; fold < options_.folds; ++fold) {
        runs.push_back({{"run", fold_name(setting, fold)},
                        {"done", read_fold(out_ / fold_name(setting, fold)).has_value()},
                        {"command", command_line(fold_words(setting, fold))}});
      }
    }
    return {{"settings", settings_.size()}, {"folds", options_.folds}, {"runs", runs}};
  }

 private:
  // What a run would refuse after those before it have run for hours is refused before the first.
  void check_configurations() const {
    for (const Setting& setting : settings_) {
      std::vector<std::string> assignments = flags_.assignments;
      for (const std::string& own : setting.assignments()) assignments.push_back(own);
      if (!read_fold(out_ / fold_name(setting, 0))) check_configuration("finetune", flags_.config, assignments);
    }
  }

  // The folder belongs to one question: runs with other data or settings must not be averaged with these.
  void adopt_request() const {
    check_configurations();
    fs::create_directories(out_);
    Json config = config_of(flags_);
    for (const char* other : {"prepare", "pretrain", "benchmark"}) config.erase(other);
    Json request = {{"store", fs::absolute(flags_.store).string()},
                    {"init", flags_.init.empty() ? "" : fs::absolute(flags_.init).string()},
                    {"labels", flags_.labels},
                    {"seed", common_.seed_given ? Json(common_.seed) : Json()},
                    {"config", config},
                    {"set", flags_.assignments},
                    {"store_identity", dataset::identity_of(dataset::Store::open(flags_.store))},
                    {"init_hash", init_hash()}};
    const fs::path file = out_ / "request.json";
    if (!fs::exists(file)) save_json(file, request);
    const Json begun_with = load_json(file);
    for (const char* recent : {"store_identity", "init_hash"}) {  // folders of older versions lack them
      if (!begun_with.contains(recent)) request.erase(recent);
    }
    if (begun_with != request) {
      throw Error(ErrorCode::kInvalidArgument,
                  concat("[tune] ", out_.string(), " was begun with other data or settings"),
                  "use another folder, or what " + file.string() + " says");
    }
    if (!flags_.config.empty()) write_file_atomic(settings_file(), read_file(flags_.config));
  }

  std::string init_hash() const {
    if (flags_.init.empty()) return "";
    return SafetensorsFile::open(find_model_file(flags_.init)).content_hash();
  }

  // Runs read the copy: whoever edits the file meanwhile changes nothing that is running.
  fs::path settings_file() const { return out_ / "tune.toml"; }

  static std::string fold_name(const Setting& setting, int fold) {
    return concat("folds/", setting.name(), "/fold", fold + 1);
  }

  std::vector<std::string> words_of(const std::string& name, const std::vector<std::string>& assignments) const {
    std::vector<std::string> words{"finetune", "--store", flags_.store, "--out", (out_ / name).string()};
    if (!flags_.init.empty()) words.insert(words.end(), {"--init", flags_.init});
    if (flags_.labels > 0) words.insert(words.end(), {"--labels", std::to_string(flags_.labels)});
    if (!flags_.config.empty()) {
      const std::string config = fs::exists(settings_file()) ? settings_file().string() : flags_.config;  // --dry-run
      words.insert(words.end(), {"--config", config});
    }
    for (const auto& list : {flags_.assignments, assignments}) {
      for (const std::string& assignment : list) words.insert(words.end(), {"--set", assignment});
    }
    const bool begun = fs::exists(out_ / name / "checkpoints" / "last.state.safetensors");
    words.emplace_back(begun ? "--resume" : "--force");  // --force: what was left before the first checkpoint
    for (const auto& rest : {common_words(common_), device_words(common_)}) {
      words.insert(words.end(), rest.begin(), rest.end());
    }
    return words;
  }

  std::vector<std::string> fold_words(const Setting& setting, int fold) const {
    std::vector<std::string> assignments = setting.assignments();
    assignments.insert(assignments.end(), {"finetune.validation=fold", concat("finetune.folds=", options_.folds),
                                           concat("finetune.fold=", fold)});
    return words_of(fold_name(setting, fold), assignments);
  }

  // The steps of the whole schedule, so that a cosine takes the same way as in the folds.
  std::int64_t schedule_steps(const Setting& setting) const {
    const fs::path record = out_ / fold_name(setting, 0) / "run.json";
    return json_get<std::int64_t>(load_json(record), "steps", record.string());
  }

  void gather() {
    scores_.clear();
    for (const Setting& setting : settings_) {
      std::vector<std::optional<FoldCurve>> folds;
      for (int fold = 0; fold < options_.folds; ++fold) folds.push_back(read_fold(out_ / fold_name(setting, fold)));
      scores_.push_back(score_of(folds));
    }
  }

  Json report() const {
    return write_tune_report({options_, settings_, scores_, best_of(scores_, options_.folds)}, out_);
  }

  bool is_open(const std::string& name) const { return !failed_.contains(name) && !read_fold(out_ / name); }

  std::vector<std::string> names_of_open_folds() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < settings_.size(); ++i) {
      for (int fold = 0; fold < options_.folds && !scores_[i].diverged; ++fold) {
        const std::string name = fold_name(settings_[i], fold);
        if (is_open(name)) names.push_back(name);
      }
    }
    return names;
  }

  // False when nothing is left that this process could do now.
  bool do_next_fold() {
    for (std::size_t i = 0; i < settings_.size(); ++i) {
      for (int fold = 0; fold < options_.folds && !scores_[i].diverged; ++fold) {
        const std::string name = fold_name(settings_[i], fold);
        if (!is_open(name)) continue;
        const auto claim = Claim::take(name, out_);
        if (!claim || read_fold(out_ / name)) continue;
        do_fold(i, fold, name);
        return true;
      }
    }
    return false;
  }

  void do_fold(std::size_t setting, int fold, const std::string& name) {
    log_info("[tune] ", name);
    const int status = run_finetune(name, fold_words(settings_[setting], fold));
    if (status != 0 && status != kDiverged) {
      log_warning("[tune] ", name, " failed with ", status_text(status));
      failed_.insert(name);
      return;
    }
    // Its curve is all that is asked of it: ten settings of three folds at full size would keep 30 GB of weights.
    fs::remove_all(out_ / name / "checkpoints");
    const std::vector<Score> before = scores_;
    gather();
    for (std::size_t i = 0; i < scores_.size(); ++i) {  // other processes may have finished some
      const bool is_new = scores_[i].step != before[i].step || scores_[i].diverged != before[i].diverged;
      if (is_new) log_info("[tune] ", line_of(settings_[i], scores_[i]));
    }
    report();
  }

  int run_finetune(const std::string& name, const std::vector<std::string>& words) const {
    fs::create_directories((out_ / name).parent_path());
    const int status = run_child(words, out_ / "tune.log");
    if (status == kStopped) {
      throw Error(ErrorCode::kCancelled, concat("[tune] stopped during ", name, "; its state is saved"),
                  "the same command continues");
    }
    return status;
  }

  void train_final(std::size_t best) {
    const fs::path record = out_ / kFinal / "run.json";
    const auto is_done = [&] { return fs::exists(record) && load_json(record).value("exit", "") == "finished"; };
    while (!is_done()) {
      const auto claim = Claim::take(kFinal, out_);
      if (claim && !is_done()) run_final(best);
      if (!claim) waiting_.sleep({kFinal});
    }
  }

  void run_final(std::size_t best) const {
    std::vector<std::string> assignments = settings_[best].assignments();
    assignments.insert(assignments.end(), {"finetune.validation=none", concat("finetune.steps=", scores_[best].step),
                                           concat("finetune.schedule_steps=", schedule_steps(settings_[best]))});
    log_info("[tune] final model: ", line_of(settings_[best], scores_[best]));
    const int status = run_finetune(kFinal, words_of(kFinal, assignments));
    CMUNET_CHECK(status == 0, ErrorCode::kIo, "[tune] the final training failed with ", status_text(status));
  }

  const Flags& flags_;
  const CommonOptions& common_;
  fs::path out_;
  TuneOptions options_;
  std::vector<Setting> settings_;
  std::vector<Score> scores_;
  std::set<std::string> failed_;
  Waiting waiting_;
};

void run(const Flags& flags, const CommonOptions& common) {
  Tuning tuning(flags, common);
  if (common.dry_run) {
    const Json plan = tuning.plan();
    print_result(common, plan, plan.dump(2));
    return;
  }
  const Json document = tuning.run();
  print_result(common, document,
               concat(document["table"].get<std::string>(), "model: ", flags.out, "/final\n", kDisclaimer));
}

}  // namespace

void add_tune(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--store", flags->store, "prepared store with a labelled train split")->required();
  app.add_option("--init", flags->init, "pre-trained run folder or weights, loaded anew for every fold");
  app.add_option("--labels", flags->labels, "tune and train on this many labelled images (nested, by seed); 0 for all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--out", flags->out, "folder of runs; an interrupted search continues there")->required();
  app.add_option("--config", flags->config, "TOML file with a section [tune] and the settings of [finetune]")
      ->check(CLI::ExistingFile);
  app.add_option("--set", flags->assignments, "key=value of [finetune], for all runs; may be repeated")
      ->take_all()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
