// SPDX-License-Identifier: Apache-2.0
// A comparison of methods as a list of jobs in one folder, which several processes may work on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"

namespace cmunet::cli {

/// Section [benchmark] of a configuration file.
struct BenchmarkOptions {
  struct Named {
    std::string name;
    std::vector<std::string> assignments;  ///< key=value, for --set: of [pretrain] or, in a regime, of [finetune]
  };
  struct Regime : Named {
    std::vector<std::int64_t> labels;  ///< those of the benchmark, or fewer
  };
  std::vector<Named> methods;   ///< "scratch", a pre-training method, or a name of [benchmark.variants]
  std::vector<Regime> regimes;  ///< the file's own settings, without a name, then those of [benchmark.regimes]
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> seeds;
};
/// @throws Error kInvalidArgument naming the key: unknown, of a wrong type, empty, a method that does not exist.
BenchmarkOptions read_benchmark_options(const Json& config, const std::string& origin);

enum class JobKind { kPretrain, kFinetune, kValidate, kTest };

/// One run. Its folder below the benchmark's is its name: "pretrain/mae-seed42", "finetune/mae-labels18-seed42",
/// "val/mae-labels18-seed42", "test/mae-labels18-seed42".
struct Job {
  JobKind kind = JobKind::kPretrain;
  std::string name;
  std::string needs;  ///< the job whose result this one starts from; empty for none
  std::string method, regime;
  std::int64_t labels = 0;  ///< 0: all
  std::int64_t seed = 0;
  std::vector<std::string> assignments;
};

/// Does the job measure a model, on validation or test images?
bool is_evaluation(const Job& job);

/// All jobs, those of the first seed first, so that a benchmark that is cut short has whole comparisons. Every model is
/// measured on the validation split, for the report.
/// @param with_test  also one job per fine-tuned model that evaluates it on the test split
std::vector<Job> plan_benchmark(const BenchmarkOptions& options, bool with_test);

/// True when the job's folder below `out` holds a finished result.
bool is_done(const Job& job, const std::filesystem::path& out);
/// True when its loss became infinite: that is its result, and what needs it is never done.
bool has_diverged(const Job& job, const std::filesystem::path& out);

/// Whether work on a folder that was begun with `before` may go on with `now`: all settings are the same, and so is
/// what both know by a name, since cells of different settings must not be averaged. More may join.
bool is_continuation(const Json& before, const Json& now);

}  // namespace cmunet::cli
