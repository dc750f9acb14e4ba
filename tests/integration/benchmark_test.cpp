// SPDX-License-Identifier: Apache-2.0
// The job list of `cmunet benchmark` and its claims.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "cmunet/base/config.h"
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/claim.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

BenchmarkOptions options_of(const std::string& toml) {
  const ScratchFolder folder;
  write_file_atomic(folder.path() / "b.toml", toml);
  return read_benchmark_options(load_toml(folder.path() / "b.toml"), "b.toml");
}

const char* const kSmall = R"([benchmark]
methods = ["scratch", "mae", "half"]
labels = [18, 0]
seeds = [1, 2]
[benchmark.variants]
half = ["pretrain.method=mae", "pretrain.mae.mask_ratio=0.75"]
)";

TEST(BenchmarkPlan, HasEveryCellOnceAfterWhatItNeeds) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), true);
  EXPECT_EQ(jobs.size(), 2U * 2 + 2U * 2 * 3 * 3);  // pre-trainings, then fine-tunings, their validations and tests
  std::set<std::string> seen;
  for (const Job& job : jobs) {
    EXPECT_TRUE(job.needs.empty() || seen.contains(job.needs)) << job.name;
    EXPECT_TRUE(seen.insert(job.name).second) << job.name;
  }
  EXPECT_TRUE(seen.contains("pretrain/half-seed2"));
  EXPECT_TRUE(seen.contains("finetune/scratch-labels18-seed1"));
  EXPECT_TRUE(seen.contains("val/mae-labels18-seed2"));
  EXPECT_TRUE(seen.contains("test/mae-labelsall-seed2"));
  EXPECT_EQ(jobs.back().kind, JobKind::kTest);  // tests come last
  EXPECT_EQ(plan_benchmark(options_of(kSmall), false).size(), 28U);
}

TEST(BenchmarkPlan, VariantsCarryTheirSettings) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), false);
  for (const Job& job : jobs) {
    if (job.name != "pretrain/half-seed1") continue;
    EXPECT_EQ(job.assignments, (std::vector<std::string>{"pretrain.method=mae", "pretrain.mae.mask_ratio=0.75"}));
  }
}

TEST(BenchmarkPlan, RegimesJoinTheFilesOwnSettingsAndMayHaveFewerLabels) {
  const auto options = options_of(std::string(kSmall) + R"([benchmark.regimes]
epochs = { set = ["finetune.steps=0", "finetune.epochs=256"], labels = [18] }
cl_dice = ["finetune.lambda_cl_dice=0.5"]
)");
  const std::vector<Job> jobs = plan_benchmark(options, false);
  std::map<std::string, int> cells;
  for (const Job& job : jobs) {
    if (job.kind != JobKind::kFinetune) continue;
    ++cells[job.regime];
    if (job.regime == "epochs") {
      EXPECT_EQ(job.labels, 18);
      EXPECT_EQ(job.assignments, (std::vector<std::string>{"finetune.steps=0", "finetune.epochs=256"}));
    }
  }
  EXPECT_EQ(cells, (std::map<std::string, int>{{"", 12}, {"cl_dice", 12}, {"epochs", 6}}));
  EXPECT_EQ(jobs.size(), 4U + 2 * 30);  // with validations; a regime needs no pre-training of its own
  EXPECT_EQ(jobs[4].regime, "");        // the file's own settings come first
}

TEST(BenchmarkPlan, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(options_of(std::string(kSmall) + "[benchmark.regimes]\nx = { labels = [7] }\n"), Error);
  EXPECT_THROW(options_of(std::string(kSmall) + "[benchmark.regimes]\nx = [1]\n"), Error);
  EXPECT_THROW(options_of("[other]\nx = 1\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"simclr\"]\nlabels = [1]\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = []\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1, 1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1]\nepochs = 3\n"), Error);
}

TEST(Claim, IsGivenToOneAndTakenOverFromTheDead) {
  const ScratchFolder folder;
  const std::string job = "finetune/x";
  {
    const auto first = Claim::take(job, folder.path());
    ASSERT_TRUE(first.has_value());
    EXPECT_FALSE(Claim::take(job, folder.path()).has_value());
  }
  EXPECT_TRUE(Claim::take(job, folder.path()).has_value());  // given back
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const fs::path file = folder.path() / "claims" / "finetune-x.json";
  save_json(file, {{"host", host.data()}, {"pid", 999'999'999}});
  EXPECT_TRUE(Claim::take(job, folder.path()).has_value());
  save_json(file, {{"host", "elsewhere"}, {"pid", 999'999'999}});
  EXPECT_FALSE(Claim::take(job, folder.path()).has_value());
}

}  // namespace
}  // namespace cmunet::cli
