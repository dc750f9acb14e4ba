// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_plan.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/log.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kMethods{"scratch", "models_genesis", "mae", "spark", "moco_v2", "cm_unet"};
constexpr const char* kScratch = "scratch";

using Named = BenchmarkOptions::Named;

std::vector<Named> named_lists(const Json& section, const char* key, const std::string& origin) {
  std::vector<Named> result;
  if (!section.contains(key)) return result;
  CMUNET_CHECK(section[key].is_object(), ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key,
               " must be a table of lists of \"key=value\"");
  for (const auto& [name, value] : section[key].items()) {
    const bool name_ok = !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
    CMUNET_CHECK(name_ok, ErrorCode::kInvalidArgument, "[", origin, "] benchmark.", key, " has the name '", name,
                 "'; expected lower-case letters, digits and _");
    Named& row = result.emplace_back(Named{name, {}});
    for (const Json& assignment : value) {
      CMUNET_CHECK(value.is_array() && assignment.is_string(), ErrorCode::kInvalidArgument, "[", origin, "] benchmark.",
                   key, ".", name, " must be a list of \"key=value\"");
      row.assignments.push_back(assignment.get<std::string>());
    }
  }
  return result;
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

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

fs::path claim_file(const Job& job, const fs::path& out) {
  std::string name = job.name;
  std::ranges::replace(name, '/', '-');
  return out / "claims" / (name + ".json");
}

bool holder_has_died(const fs::path& file) {
  try {
    const Json claim = load_json(file);
    if (json_get<std::string>(claim, "host", file.string()) != host_name()) return false;
    return ::kill(json_get<pid_t>(claim, "pid", file.string()), 0) != 0 && errno == ESRCH;
  } catch (const Error&) {
    return false;  // gone in the meantime, or not yet written
  }
}

std::string labels_text(std::int64_t labels) { return labels == 0 ? "all" : std::to_string(labels); }

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
  options.regimes = named_lists(section, "regimes", origin);
  if (options.regimes.empty()) options.regimes.push_back({});
  const std::vector<Named> variants = named_lists(section, "variants", origin);
  const Json methods = section.value("methods", Json());
  CMUNET_CHECK(methods.is_array() && !methods.empty(), ErrorCode::kInvalidArgument, "[", origin,
               "] benchmark.methods must be a list of names");
  for (const Json& entry : methods) {
    const std::string name = entry.is_string() ? entry.get<std::string>() : entry.dump();
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
    for (const Named& regime : options.regimes) {
      for (const std::int64_t labels : options.labels) {
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
  const fs::path record = out / job.name / "run.json";
  return fs::exists(record) && load_json(record).value("exit", "") == "finished";
}

std::optional<Claim> Claim::take(const Job& job, const fs::path& out) {
  const fs::path file = claim_file(job, out);
  fs::create_directories(file.parent_path());
  if (fs::exists(file) && holder_has_died(file)) {
    log_warning("[benchmark] taking over ", job.name, ": the process that worked on it has ended");
    fs::remove(file);
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0 && errno == EEXIST) return std::nullopt;
  CMUNET_CHECK(descriptor >= 0, ErrorCode::kIo, "[benchmark] cannot create ", file.string(), ": ",
               std::strerror(errno));
  Claim claim(file);
  const std::string text = Json({{"host", host_name()}, {"pid", ::getpid()}}).dump() + "\n";
  const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(descriptor);
  CMUNET_CHECK(written, ErrorCode::kIo, "[benchmark] cannot write ", file.string());
  return claim;
}

Claim::Claim(Claim&& other) noexcept : file_(std::move(other.file_)) { other.file_.clear(); }

Claim::~Claim() {
  std::error_code ignored;
  if (!file_.empty()) fs::remove(file_, ignored);
}

}  // namespace cmunet::cli
