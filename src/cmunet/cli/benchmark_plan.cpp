// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_plan.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "cmunet/base/error.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kMethods{"scratch", "models_genesis", "mae", "spark", "moco_v2", "cm_unet"};
constexpr const char* kScratch = "scratch";

using Named = BenchmarkOptions::Named;

// @param section  whose keys they must be, "pretrain." or "finetune."
std::vector<std::string> assignments_of(const Json& list, const std::string& section, const std::string& key,
                                        const std::string& origin) {
  std::vector<std::string> assignments;
  for (const Json& assignment : list) {
    CMUNET_CHECK(list.is_array() && assignment.is_string(), ErrorCode::kInvalidArgument, "[", origin, "] benchmark.",
                 key, " must be a list of \"key=value\"");
    assignments.push_back(assignment.get<std::string>());
    CMUNET_CHECK(assignments.back().starts_with(section), ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key,
                 " sets '", assignments.back(), "'; expected keys of ", section,
                 "* (variants are ways of pre-training, regimes of fine-tuning)");
  }
  return assignments;
}

// The tables [benchmark.variants] and [benchmark.regimes]; empty when there is none.
Json named_tables(const Json& section, const char* key, const std::string& origin) {
  Json tables = section.value(key, Json::object());
  CMUNET_CHECK(tables.is_object(), ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key,
               " must be a table of lists of \"key=value\"");
  for (const auto& [name, value] : tables.items()) {
    const bool name_ok = !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
    CMUNET_CHECK(name_ok, ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key, " has the name '", name,
                 "'; expected lower-case letters, digits and _");
  }
  return tables;
}

std::vector<Named> read_variants(const Json& section, const std::string& origin) {
  std::vector<Named> variants;
  const Json tables = named_tables(section, "variants", origin);
  for (const auto& [name, value] : tables.items()) {
    CMUNET_CHECK(std::ranges::find(kMethods, name) == kMethods.end(), ErrorCode::kInvalidArgument, "[", origin,
                 "] benchmark.variants has '", name, "', a method's own name; expected another");
    variants.push_back({name, assignments_of(value, "pretrain.", "variants." + name, origin)});
  }
  return variants;
}

std::vector<std::int64_t> numbers(const Json& section, const char* key, const std::string& origin) {
  const Json list = section.value(key, Json());
  const bool ok = list.is_array() && !list.empty() && std::ranges::all_of(list, [](const Json& v) {
                    return v.is_number_integer() && v.get<std::int64_t>() >= 0;
                  });
  CMUNET_CHECK(ok, ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key,
               " must be a list of whole numbers, not negative");
  auto values = list.get<std::vector<std::int64_t>>();
  CMUNET_CHECK(std::set<std::int64_t>(values.begin(), values.end()).size() == values.size(),
               ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key, " names a number twice");
  return values;
}

// A regime is a list of assignments, or a table with the list `set` and the `labels` to which it is confined.
std::vector<BenchmarkOptions::Regime> read_regimes(const Json& section, const std::vector<std::int64_t>& labels,
                                                   const std::string& origin) {
  std::vector<BenchmarkOptions::Regime> regimes(1);
  regimes[0].labels = labels;
  const Json tables = named_tables(section, "regimes", origin);
  for (const auto& [name, value] : tables.items()) {
    const std::string key = "regimes." + name;
    BenchmarkOptions::Regime& regime = regimes.emplace_back();
    regime.name = name;
    regime.labels = value.is_object() && value.contains("labels") ? numbers(value, "labels", origin) : labels;
    regime.assignments =
        assignments_of(value.is_object() ? value.value("set", Json::array()) : value, "finetune.", key, origin);
    for (const std::int64_t count : regime.labels) {
      CMUNET_CHECK(std::ranges::find(labels, count) != labels.end(), ErrorCode::kInvalidArgument, "[", origin,
                   "] benchmark.", key, ".labels has ", count, ", which benchmark.labels has not");
    }
  }
  return regimes;
}

std::string labels_text(std::int64_t labels) { return labels == 0 ? "all" : std::to_string(labels); }

// What a variant or regime sets, without the labels that it is confined to.
Json settings_in(const Json& named) { return named.is_object() ? named.value("set", Json::array()) : named; }

// How the run of a training job ended; empty when it has not.
std::string exit_of(const Job& job, const fs::path& out) {
  const fs::path record = out / job.name / "run.json";
  return fs::exists(record) ? load_json(record).value("exit", "") : "";
}

}  // namespace

BenchmarkOptions read_benchmark_options(const Json& config, const std::string& origin) {
  const Json section = config.value("benchmark", Json());
  CMUNET_CHECK(section.is_object(), ErrorCode::kInvalidArgument, "[", origin,
               "] has no section [benchmark]; expected methods, labels and seeds in it");
  for (const auto& [key, value] : section.items()) {
    const bool known = key == "methods" || key == "labels" || key == "seeds" || key == "variants" || key == "regimes";
    CMUNET_CHECK(known, ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key,
                 " is no key; expected methods, labels, seeds, variants or regimes");
  }
  BenchmarkOptions options;
  options.labels = numbers(section, "labels", origin);
  options.seeds = numbers(section, "seeds", origin);
  options.regimes = read_regimes(section, options.labels, origin);
  const std::vector<Named> variants = read_variants(section, origin);
  const Json methods = section.value("methods", Json());
  CMUNET_CHECK(methods.is_array() && !methods.empty(), ErrorCode::kInvalidArgument, "[", origin,
               "] benchmark.methods must be a list of names");
  for (const Json& entry : methods) {
    const std::string name = entry.is_string() ? entry.get<std::string>() : entry.dump();
    CMUNET_CHECK(std::ranges::find(options.methods, name, &Named::name) == options.methods.end(),
                 ErrorCode::kInvalidArgument, "[", origin, "] benchmark.methods names '", name, "' twice");
    const auto variant = std::ranges::find(variants, name, &Named::name);
    if (variant != variants.end()) {
      options.methods.push_back(*variant);
    } else {
      CMUNET_CHECK(std::ranges::find(kMethods, name) != kMethods.end(), ErrorCode::kInvalidArgument, "[", origin,
                   "] benchmark.methods has '", name,
                   "'; expected scratch, a pre-training method, or a name of benchmark.variants");
      options.methods.push_back({name, {}});
      if (name != kScratch) options.methods.back().assignments.push_back("pretrain.method=" + name);
    }
  }
  return options;
}

std::vector<Job> plan_benchmark(const BenchmarkOptions& options, bool with_test) {
  std::vector<Job> jobs, tests;
  for (const std::int64_t seed : options.seeds) {
    for (const Named& method : options.methods) {
      if (method.name == kScratch) continue;
      Job job;
      job.name = concat("pretrain/", method.name, "-seed", seed);
      job.method = method.name;
      job.seed = seed;
      job.assignments = method.assignments;
      jobs.push_back(std::move(job));
    }
    for (const BenchmarkOptions::Regime& regime : options.regimes) {
      for (const std::int64_t labels : regime.labels) {
        for (const Named& method : options.methods) {
          const std::string cell = concat(regime.name.empty() ? "" : regime.name + "-", method.name, "-labels",
                                          labels_text(labels), "-seed", seed);
          Job job;
          job.kind = JobKind::kFinetune;
          job.name = "finetune/" + cell;
          job.method = method.name;
          job.regime = regime.name;
          job.labels = labels;
          job.seed = seed;
          job.assignments = regime.assignments;
          if (method.name != kScratch) job.needs = concat("pretrain/", method.name, "-seed", seed);
          jobs.push_back(job);
          job.needs = job.name;
          job.kind = JobKind::kValidate;
          job.name = "val/" + cell;
          jobs.push_back(job);
          job.kind = JobKind::kTest;
          job.name = "test/" + cell;
          tests.push_back(job);
        }
      }
    }
  }
  if (with_test) jobs.insert(jobs.end(), tests.begin(), tests.end());
  return jobs;
}

bool is_evaluation(const Job& job) { return job.kind == JobKind::kValidate || job.kind == JobKind::kTest; }

bool is_done(const Job& job, const fs::path& out) {
  if (is_evaluation(job)) return fs::exists(out / job.name / "evaluation.json");
  return exit_of(job, out) == "finished";
}

bool has_diverged(const Job& job, const fs::path& out) {
  return !is_evaluation(job) && exit_of(job, out).starts_with("diverged");
}

bool is_continuation(const Json& before, const Json& now) {
  Json others_before = before, others_now = now;
  others_before.erase("benchmark"), others_now.erase("benchmark");
  if (others_before != others_now) return false;
  for (const char* tables : {"variants", "regimes"}) {
    const Json named = now.at("benchmark").value(tables, Json::object());
    const Json known = before.at("benchmark").value(tables, Json::object());
    for (const auto& [name, settings] : known.items()) {
      if (named.contains(name) && settings_in(named[name]) != settings_in(settings)) return false;
    }
  }
  return true;
}

}  // namespace cmunet::cli
