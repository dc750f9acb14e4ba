// SPDX-License-Identifier: Apache-2.0
// The job list of `cmunet benchmark`, its claims, and what is concluded from finished cells.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "cmunet/base/config.h"
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/benchmark_report.h"

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

void finish(const fs::path& out, const Job& job, double val_dice) {
  fs::create_directories(out / job.name);
  save_json(out / job.name / "run.json", {{"exit", "finished"}, {"best_val_dice", val_dice}, {"images", 18}});
}

TEST(BenchmarkPlan, HasEveryCellOnceAfterWhatItNeeds) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), true);
  EXPECT_EQ(jobs.size(), 2U * 2 + 2U * 2 * 3 * 2);  // pre-trainings, then fine-tunings and tests
  std::set<std::string> seen;
  for (const Job& job : jobs) {
    EXPECT_TRUE(job.needs.empty() || seen.contains(job.needs)) << job.name;
    EXPECT_TRUE(seen.insert(job.name).second) << job.name;
  }
  EXPECT_TRUE(seen.contains("pretrain/half-seed2"));
  EXPECT_TRUE(seen.contains("finetune/scratch-labels18-seed1"));
  EXPECT_TRUE(seen.contains("test/mae-labelsall-seed2"));
  EXPECT_EQ(jobs.back().kind, JobKind::kTest);  // tests come last
  EXPECT_EQ(plan_benchmark(options_of(kSmall), false).size(), 16U);
}

TEST(BenchmarkPlan, VariantsCarryTheirSettings) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), false);
  for (const Job& job : jobs) {
    if (job.name != "pretrain/half-seed1") continue;
    EXPECT_EQ(job.assignments, (std::vector<std::string>{"pretrain.method=mae", "pretrain.mae.mask_ratio=0.75"}));
  }
}

TEST(BenchmarkPlan, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(options_of("[other]\nx = 1\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"simclr\"]\nlabels = [1]\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = []\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1, 1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1]\nepochs = 3\n"), Error);
}

TEST(Claim, IsGivenToOneAndTakenOverFromTheDead) {
  const ScratchFolder folder;
  Job job;
  job.name = "finetune/x";
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

TEST(CompareCells, AveragesSeedsAndLeavesUndefinedImagesOut) {
  const double nan = std::nan("");
  const Comparison c =
      compare_cells({{0.8, 0.6, nan, 0.5}, {0.6, 0.8, 0.9, 0.5}}, {{0.5, 0.5, 0.1, 0.4}, {0.5, 0.5, 0.1, 0.4}});
  EXPECT_EQ(c.images, 3);
  EXPECT_EQ(c.seeds, 2);
  EXPECT_NEAR(c.difference, (0.2 + 0.2 + 0.1) / 3, 1e-12);
  EXPECT_NEAR(c.effect_size, c.difference / std::sqrt(0.01 / 3), 1e-9);  // sample variance of 0.2, 0.2, 0.1
  EXPECT_NEAR(c.p_wilcoxon, 0.25, 0.2);
  EXPECT_THROW(compare_cells({{0.1}}, {{0.1, 0.2}}), Error);
  EXPECT_THROW(compare_cells({{0.1}}, {}), Error);
}

TEST(BenchmarkReport, GathersFinishedCellsAndTests) {
  const ScratchFolder folder;
  const BenchmarkOptions options = options_of(kSmall);
  double dice = 0.5;
  for (const Job& job : plan_benchmark(options, true)) {
    if (job.name.find("labelsall") != std::string::npos || job.name.find("half") != std::string::npos) continue;
    if (job.kind == JobKind::kFinetune) finish(folder.path(), job, dice += 0.01);
    if (job.kind != JobKind::kTest) continue;
    fs::create_directories(folder.path() / job.name);
    const double better = job.method == "mae" ? 0.1 : 0.0;
    Json images = Json::array();
    for (int i = 0; i < 8; ++i) {
      images.push_back({{"id", std::to_string(i)},
                        {"dice", 0.5 + 0.01 * i + better * (1 + 0.1 * i)},
                        {"pred_diameter_px", 3 + 0.1 * i},
                        {"target_diameter_px", 3.0 + 0.09 * i}});
    }
    Json metrics;
    for (const char* key : {"dice", "cl_dice", "modified_hausdorff_px", "diameter_difference_px"}) {
      metrics[key] = {{"mean", 0.5 + better}};
    }
    save_json(folder.path() / job.name / "evaluation.json", {{"metrics", metrics}, {"images", images}});
  }
  const Json document = write_benchmark_report(options, folder.path());
  ASSERT_EQ(document["cells"].size(), 4U);  // scratch and mae, two seeds, 18 labels
  EXPECT_NEAR(document["cells"][0]["val_dice"].get<double>(), 0.51, 1e-12);
  EXPECT_NEAR(document["cells"][1]["test"]["dice"]["mean"].get<double>(), 0.6, 1e-12);
  ASSERT_EQ(document["comparisons"].size(), 1U);
  EXPECT_NEAR(document["comparisons"][0]["difference in Dice"].get<double>(), 0.135, 1e-9);
  const std::string page = read_file(folder.path() / "report.html");
  EXPECT_NE(page.find("0.600 ± 0.000 (2)"), std::string::npos);
  EXPECT_NE(page.find("not for clinical use"), std::string::npos);
  EXPECT_TRUE(fs::exists(folder.path() / "cells.csv"));
}

}  // namespace
}  // namespace cmunet::cli
