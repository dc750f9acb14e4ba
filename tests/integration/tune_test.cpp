// SPDX-License-Identifier: Apache-2.0
// The grid of `cmunet tune`, and what is concluded from the curves of its folds.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "cmunet/base/config.h"
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/cli/tune_plan.h"
#include "cmunet/cli/tune_report.h"

namespace cmunet::cli {
namespace {

TuneOptions options_of(const std::string& toml) {
  const ScratchFolder folder;
  write_file_atomic(folder / "t.toml", toml);
  return read_tune_options(load_toml(folder / "t.toml"), "t.toml");
}

FoldCurve curve(std::vector<double> dice) {
  FoldCurve result;
  for (std::size_t i = 0; i < dice.size(); ++i) result.steps.push_back(10 * static_cast<std::int64_t>(i + 1));
  result.dice = std::move(dice);
  return result;
}

TEST(TuneOptions, AreThePapersWithoutASection) {
  const TuneOptions options = options_of("[finetune]\nlr = 1e-3\n");
  EXPECT_EQ(options.folds, 3);
  const auto settings = settings_of(options);
  EXPECT_EQ(settings.size(), 10U);
  EXPECT_EQ(settings.front().name(), "lr=0.1,batch_size=16");
  EXPECT_EQ(settings.back().assignments(), (std::vector<std::string>{"finetune.lr=1e-05", "finetune.batch_size=32"}));
}

TEST(TuneOptions, MayNameAnyKeyOfFineTuning) {
  const auto settings = settings_of(options_of("[tune]\nfolds = 5\nschedule = [\"cosine\", \"constant\"]\n"));
  ASSERT_EQ(settings.size(), 2U);
  EXPECT_EQ(settings[0].assignments(), (std::vector<std::string>{"finetune.schedule=cosine"}));
  EXPECT_THROW(options_of("[tune]\nfolds = 1\n"), Error);
  EXPECT_THROW(options_of("[tune]\nlr = 0.1\n"), Error);
  EXPECT_THROW(options_of("[tune]\nlr = []\n"), Error);
}

TEST(Score, TakesTheStepWhereTheMeanIsHighest) {
  // Each fold's own best would be 0.9, 0.8 and 0.7; no single number of steps reaches their mean.
  const Score score = score_of({curve({0.9, 0.5, 0.6}), curve({0.1, 0.8, 0.6}), curve({0.2, 0.5, 0.7})});
  EXPECT_EQ(score.step, 30);
  EXPECT_NEAR(score.dice, 1.9 / 3, 1e-12);
  EXPECT_NEAR(score.sd, std::sqrt((2 * std::pow(0.1 / 3, 2) + std::pow(0.2 / 3, 2)) / 2), 1e-12);
  EXPECT_EQ(score_of({curve({0.5, 0.5})}).step, 10);  // the first of equals
  EXPECT_THROW(score_of({curve({0.5, 0.5}), curve({0.5})}), Error);
}

TEST(Score, KnowsWhatIsMissingAndWhatDiverged) {
  const Score partial = score_of({curve({0.5}), std::nullopt, curve({0.5})});
  EXPECT_EQ(partial.folds_done, 2);
  EXPECT_EQ(partial.step, 0);
  FoldCurve bad;
  bad.diverged = true;
  EXPECT_TRUE(score_of({curve({0.5}), bad, std::nullopt}).diverged);
}

TEST(BestOf, WaitsForAllAndPassesOverDiverged) {
  Score bad, low, high, partial;
  bad.diverged = true;
  low = {3, false, 10, 0.4, 0};
  high = {3, false, 20, 0.6, 0};
  partial.folds_done = 2;
  EXPECT_EQ(best_of({bad, low, high, high}, 3), 2U);
  EXPECT_FALSE(best_of({low, partial}, 3).has_value());
  EXPECT_FALSE(best_of({bad, bad}, 3).has_value());
}

void write_run(const std::filesystem::path& run, const std::string& exit, const FoldCurve& curve) {
  std::filesystem::create_directories(run);
  save_json(run / "run.json", {{"exit", exit}});
  std::ofstream rows(run / "metrics.jsonl");
  for (std::size_t i = 0; i < curve.steps.size(); ++i) {
    rows << Json({{"step", curve.steps[i]}, {"val_dice", curve.dice[i]}}).dump() << "\n";
  }
}

TEST(ReadFold, ReadsFinishedAndDivergedRunsAndNoOthers) {
  const ScratchFolder folder;
  EXPECT_FALSE(read_fold(folder / "absent").has_value());
  write_run(folder / "a", "finished", curve({0.25, 0.5}));
  write_run(folder / "b", "stopped: signal", curve({0.25}));
  write_run(folder / "c", "diverged: the loss is nan", {});
  EXPECT_EQ(read_fold(folder / "a")->dice, (std::vector<double>{0.25, 0.5}));
  EXPECT_EQ(read_fold(folder / "a")->steps, (std::vector<std::int64_t>{10, 20}));
  EXPECT_FALSE(read_fold(folder / "b").has_value());
  EXPECT_TRUE(read_fold(folder / "c")->diverged);
  write_run(folder / "d", "finished", {});
  EXPECT_THROW(read_fold(folder / "d"), Error);
}

TEST(TuneReport, HasTheTableAndTheChoice) {
  const ScratchFolder folder;
  const TuneOptions options = options_of("[tune]\nfolds = 2\nlr = [0.1, 0.01]\nbatch_size = [4, 8]\n");
  const auto settings = settings_of(options);
  std::vector<Score> scores{{2, false, 10, 0.5, 0.01}, {2, false, 30, 0.625, 0.02}, {1, true, 0, 0, 0}, {}};
  const Json document = write_tune_report({options, settings, scores, 1}, folder.path());
  EXPECT_EQ(document["chosen"]["name"], settings[1].name());
  EXPECT_EQ(document["chosen"]["steps"], 30);
  EXPECT_FALSE(document["settings"][2].contains("dice"));
  EXPECT_NE(document["table"].get<std::string>().find("diverged"), std::string::npos);
  EXPECT_EQ(load_json(folder / "tune.json")["settings"].size(), 4U);
  EXPECT_NE(read_file(folder / "tune.csv").find("0.625"), std::string::npos);
  const std::string page = read_file(folder / "report.html");
  EXPECT_NE(page.find("0.6250 ± 0.0200"), std::string::npos);
  EXPECT_NE(page.find("not for clinical use"), std::string::npos);
}

}  // namespace
}  // namespace cmunet::cli
