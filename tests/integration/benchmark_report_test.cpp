// SPDX-License-Identifier: Apache-2.0
// What `cmunet benchmark` concludes from finished cells: comparisons, tables, figures, links. The cells are made up.
#include "cmunet/cli/benchmark_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>
#include <set>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/cli/benchmark_cells.h"
#include "cmunet/cli/benchmark_figures.h"
#include "cmunet/cli/published_results.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dataset/store.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kImages = 8;
constexpr int kSize = 32;

BenchmarkOptions two_methods() {
  BenchmarkOptions options;
  options.methods = {{"scratch", {}}, {"mae", {}}};
  options.labels = {18, 0};
  options.regimes.resize(1);
  options.regimes[0].labels = options.labels;
  options.seeds = {1, 2};
  return options;
}

std::string id_of(int i) { return "image" + std::to_string(i); }

// MAE is better by 0.1 · (1 + 0.1 i) on image i; diameters lie on a line.
Json evaluation_of(const std::string& method) {
  const double better = method == "mae" ? 0.1 : 0.0;
  Json images = Json::array();
  for (int i = 0; i < kImages; ++i) {
    images.push_back({{"id", id_of(i)},
                      {"dice", 0.5 + 0.01 * i + better * (1 + 0.1 * i)},
                      {"pred_diameter_px", 3 + 0.1 * i + 0.02 * (i % 3)},
                      {"target_diameter_px", 3.0 + 0.09 * i}});
  }
  Json metrics;
  for (const char* key : {"dice", "cl_dice", "iou", "modified_hausdorff_px", "diameter_difference_px"}) {
    metrics[key] = {{"mean", 0.5 + better}, {"ci95", {0.4 + better, 0.6 + better}}, {"undefined", 3}};
  }
  return {{"metrics", metrics}, {"images", images}};
}

void save_evaluation(const fs::path& out, const Job& job) {
  fs::create_directories(out / job.name);
  save_json(out / job.name / "evaluation.json", evaluation_of(job.method));
}

// Every training as if it had run; each model 0.01 better on validation than the one before.
void finish_trainings(const BenchmarkOptions& options, const fs::path& out) {
  double dice = 0.5;
  for (const Job& job : plan_benchmark(options, false)) {
    if (job.kind == JobKind::kPretrain) {
      fs::create_directories(out / job.name / "pictures");
      save_json(out / job.name / "run.json",
                {{"exit", "finished"}, {"steps", 70}, {"modules", {{{"trainable", 2'500'000}}}}});
      codec::write_png(out / job.name / "pictures" / "epoch-0003.png", image::Image<std::uint8_t>(48, 32, 90));
    } else if (job.kind == JobKind::kFinetune) {
      fs::create_directories(out / job.name / "checkpoints");
      save_json(out / job.name / "run.json", {{"exit", "finished"},
                                              {"best_val_dice", dice += 0.01},
                                              {"best_step", 300},
                                              {"steps", 400},
                                              {"images", job.labels == 0 ? 992 : job.labels}});
    }
  }
}

void finish_evaluations(const BenchmarkOptions& options, const fs::path& out, JobKind kind) {
  for (const Job& job : plan_benchmark(options, true)) {
    if (job.kind == kind) save_evaluation(out, job);
  }
}

// A store whose validation images have the evaluations' ids.
void make_store(const fs::path& dir) {
  fs::create_directories(dir);
  dataset::StoreWriter writer(dir, kSize, kSize);
  Rng rng(5);
  for (int i = 0; i < kImages; ++i) {
    dataset::Record record;
    record.id = record.group = id_of(i);
    record.source_height = record.source_width = kSize;
    record.split = dataset::Split::kVal;
    image::ImageF picture(kSize, kSize);
    for (float& v : picture) v = static_cast<float>(rng.normal());
    image::Mask mask(kSize, kSize);
    for (int x = 4; x < 28; ++x) mask.at(16, x) = mask.at(17, x) = 1;
    writer.add(record, picture, mask);
  }
  writer.finish(Json::object());
}

std::set<std::string> links_of(const std::string& page) {
  std::set<std::string> links;
  const std::regex pattern("href=\"([^\"]+)\"");
  for (std::sregex_iterator it(page.begin(), page.end(), pattern), end; it != end; ++it) links.insert((*it)[1]);
  return links;
}

TEST(CompareCells, AveragesSeedsAndLeavesUndefinedImagesOut) {
  const double nan = std::nan("");
  const Comparison c =
      compare_cells({{0.8, 0.6, nan, 0.5}, {0.6, 0.8, 0.9, 0.5}}, {{0.5, 0.5, 0.1, 0.4}, {0.5, 0.5, 0.1, 0.4}});
  EXPECT_EQ(c.images, 3);
  EXPECT_EQ(c.undefined, 1);
  EXPECT_EQ(c.seeds, 2);
  EXPECT_NEAR(c.difference, (0.2 + 0.2 + 0.1) / 3, 1e-12);
  EXPECT_NEAR(c.effect_size, c.difference / std::sqrt(0.01 / 3), 1e-9);  // sample variance of 0.2, 0.2, 0.1
  EXPECT_THROW(compare_cells({{0.1}}, {{0.1, 0.2}}), Error);
  EXPECT_THROW(compare_cells({{0.1}}, {}), Error);
}

// Five images whose differences 0.1, 0.04, −0.02, 0.07 and 0.16 have no ties: SciPy 1.10.1's ttest_rel, and wilcoxon
// with mode="exact".
TEST(CompareCells, GivesSciPysPValuesAndAnIntervalAroundTheDifference) {
  const Comparison c = compare_cells({{0.81, 0.71, 0.60, 0.90, 0.84}, {0.83, 0.77, 0.62, 0.84, 0.88}},
                                     {{0.70, 0.72, 0.64, 0.78, 0.71}, {0.74, 0.68, 0.62, 0.82, 0.69}});
  EXPECT_NEAR(c.difference, 0.07, 1e-12);
  EXPECT_NEAR(c.effect_size, 1.043498389499902, 1e-9);
  EXPECT_NEAR(c.p_t, 0.0799596465455817, 1e-9);
  EXPECT_NEAR(c.p_wilcoxon, 0.125, 1e-12);
  EXPECT_LT(c.low, c.difference);
  EXPECT_GT(c.high, c.difference);
  EXPECT_GE(c.low, -0.02);
  EXPECT_LE(c.high, 0.16);
}

// Every field has a number of its own, so that none passes for another.
TEST(StatisticsCells, StandUnderTheirTitles) {
  Comparison c;
  c.difference = 0.1, c.low = 0.2, c.high = 0.3, c.effect_size = 0.4;
  c.p_t = 0.5, c.p_t_holm = 0.6, c.p_wilcoxon = 0.7, c.p_wilcoxon_holm = 0.8;
  c.images = 9, c.undefined = 10, c.seeds = 11;
  report::Table table(statistics_columns("Dice"));
  table.add_row(statistics_cells(c));
  const auto cell = [&](const std::string& title) {
    const auto columns = table.columns();
    const auto found = std::ranges::find(columns, title, &report::Table::Column::title);
    EXPECT_NE(found, columns.end()) << title;
    return found == columns.end() ? report::Cell() : table.rows()[0][static_cast<std::size_t>(found - columns.begin())];
  };
  EXPECT_EQ(cell("difference in Dice"), report::Cell(0.1));
  EXPECT_EQ(cell("95 % low"), report::Cell(0.2));
  EXPECT_EQ(cell("95 % high"), report::Cell(0.3));
  EXPECT_EQ(cell("Cohen's d"), report::Cell(0.4));
  EXPECT_EQ(cell("p, paired t"), report::Cell(0.5));
  EXPECT_EQ(cell("p, paired t, Holm"), report::Cell(0.6));
  EXPECT_EQ(cell("p, Wilcoxon"), report::Cell(0.7));
  EXPECT_EQ(cell("p, Wilcoxon, Holm"), report::Cell(0.8));
  EXPECT_EQ(cell("images"), report::Cell(std::int64_t{9}));
  EXPECT_EQ(cell("undefined"), report::Cell(std::int64_t{10}));
  EXPECT_EQ(table.columns().size(), 10U);
}

TEST(CompareCells, TheSeedIsOfTheBootstrap) {
  Rng rng(1);
  std::vector<double> values(30);
  for (double& value : values) value = rng.normal();
  const ValuesBySeed cell{values}, baseline{std::vector<double>(30)};
  const Comparison first = compare_cells(cell, baseline);
  EXPECT_EQ(compare_cells(cell, baseline, 42).low, first.low);
  EXPECT_NE(compare_cells(cell, baseline, 7).low, first.low);
}

TEST(Comparisons, AreCorrectedTogether) {
  std::vector<Comparison> three(3);
  three[0].p_wilcoxon = 0.01, three[1].p_wilcoxon = std::nan(""), three[2].p_wilcoxon = 0.03;
  three[0].p_t = 0.5, three[1].p_t = 0.001, three[2].p_t = 0.2;
  correct_together(three);
  EXPECT_NEAR(three[0].p_wilcoxon_holm, 0.03, 1e-15);
  EXPECT_TRUE(std::isnan(three[1].p_wilcoxon_holm));  // but it was tested: the others are corrected for three
  EXPECT_NEAR(three[2].p_wilcoxon_holm, 0.06, 1e-15);
  EXPECT_NEAR(three[0].p_t_holm, 0.5, 1e-15);
  EXPECT_NEAR(three[1].p_t_holm, 0.003, 1e-15);
  EXPECT_NEAR(three[2].p_t_holm, 0.4, 1e-15);
}

class BenchmarkReport : public testing::Test {
 protected:
  BenchmarkReport() { finish_trainings(options, out); }

  Json write(const fs::path& store = {}) {
    const Json document = write_benchmark_report(options, out, store);
    page = read_file(out / "report.html");
    EXPECT_EQ(report::WellFormed::problem_of(page), "");
    EXPECT_NE(page.find("not for clinical use"), std::string::npos);
    return document;
  }
  bool shows(const std::string& text) const { return page.find(text) != std::string::npos; }

  const ScratchFolder folder;
  const fs::path out = folder.path();
  const BenchmarkOptions options = two_methods();
  std::string page;
};

TEST_F(BenchmarkReport, ShowsValidationUntilTestIsOpened) {
  Json document = write();
  ASSERT_EQ(document["cells"].size(), 8U);
  EXPECT_NEAR(document["cells"][0]["val_dice"].get<double>(), 0.51, 1e-12);
  EXPECT_TRUE(shows("Validation Dice"));
  EXPECT_FALSE(shows("Fig. 4"));  // nothing was measured but the Dice that chose the models
  finish_evaluations(options, out, JobKind::kValidate);
  document = write();
  EXPECT_TRUE(shows("figures are of validation images"));
  EXPECT_TRUE(shows("Fig. 4"));
  EXPECT_TRUE(shows("Differences from scratch"));
  EXPECT_EQ(document["figures_of"], "val");
  EXPECT_EQ(document["comparisons"].size(), 2U);
  finish_evaluations(options, out, JobKind::kTest);
  document = write();
  EXPECT_TRUE(shows("figures are of test images"));
  EXPECT_FALSE(shows("Validation Dice"));
  EXPECT_EQ(document["comparisons"].size(), 2U);  // 18 labels and all
}

TEST_F(BenchmarkReport, TellsTheNumbersOfItsCells) {
  finish_evaluations(options, out, JobKind::kTest);
  const Json document = write();
  EXPECT_NEAR(document["cells"][1]["test"]["dice"]["mean"].get<double>(), 0.6, 1e-12);
  EXPECT_NEAR(document["comparisons"][0]["difference in Dice"].get<double>(), 0.135, 1e-9);
  EXPECT_TRUE(shows("0.600 [0.600, 0.600]"));  // mean over two seeds and its interval
  EXPECT_TRUE(shows(">2.50<"));                // million parameters of pre-training
  EXPECT_TRUE(shows("121.49"));                // as published
  const std::string csv = read_file(out / "cells.csv");
  EXPECT_EQ(csv.rfind("run,method,regime,labels,images,seed,parameters,pretrain_steps,steps,best_step,best_dice_on_val,"
                      "val_dice,val_dice_low,",
                      0),
            0U);
  EXPECT_NE(csv.find("\r\nfinetune/mae-labels18-seed1,mae,,18,18,1,2500000,70,400,300,0.52,,,,,"), std::string::npos);
  EXPECT_NE(csv.find(",0.6,0.5,0.7,3,"), std::string::npos);  // test Dice, its interval, images without
  EXPECT_TRUE(shows("0.600 [0.600, 0.600]; 6 undefined"));    // of both seeds
}

TEST_F(BenchmarkReport, CountsTheSeedsThatAMeanHas) {
  finish_evaluations(options, out, JobKind::kTest);
  fs::remove(out / "test/mae-labels18-seed2/evaluation.json");
  const Json document = write();
  EXPECT_TRUE(shows("test images, on which 7 were measured"));
  EXPECT_TRUE(shows("0.600; 3 undefined; 1 of 2 seeds"));
  const auto& links = links_of(page);
  EXPECT_FALSE(links.contains("test/mae-labels18-seed2/"));
  for (const Json& mean : document["means"]) {
    const bool is_short = mean["method"] == "mae" && mean["labels"] == 18;
    EXPECT_EQ(mean["seeds"], is_short ? 1 : 2) << mean;
  }
  EXPECT_EQ(document["agreement"].size(), 4U);
}

TEST(LabelsChart, AllLabelsAreNotSeedsOfAsManyLabels) {
  const BenchmarkOptions options = two_methods();
  std::vector<BenchmarkCell> cells;
  for (const std::int64_t labels : {40, 0}) {
    for (const std::uint64_t seed : {1U, 2U}) {
      BenchmarkCell& cell = cells.emplace_back();
      cell.job.method = "scratch", cell.job.labels = labels, cell.job.seed = seed;
      cell.images = 40;
      cell.val_dice = labels == 0 ? 0.7 : 0.6;
    }
  }
  const std::string chart = labels_chart({options, cells, "", Shown::kValidation, {}}, "dice", "Validation Dice");
  EXPECT_NE(chart.find("scratch: 40, 0.6000"), std::string::npos);
  EXPECT_NE(chart.find("scratch: 40, 0.7000"), std::string::npos);
}

TEST_F(BenchmarkReport, TellsStepsAndWhatDiverged) {
  finish_evaluations(options, out, JobKind::kValidate);
  write();
  EXPECT_TRUE(shows("Every model was fine-tuned for 400 optimiser steps."));
  const std::string name = "finetune/mae-labels18-seed2";
  save_json(out / name / "run.json", {{"exit", "diverged: the loss is nan"}});
  const Json document = write();
  EXPECT_TRUE(shows("such runs are in no table: " + name));
  EXPECT_EQ(document["diverged"], Json::array({name}));
  Json longer = load_json(out / "finetune/mae-labelsall-seed1/run.json");
  longer["steps"] = 800;
  save_json(out / "finetune/mae-labelsall-seed1/run.json", longer);
  write();
  EXPECT_TRUE(shows("400 to 800 optimiser steps"));
}

TEST_F(BenchmarkReport, PairsImagesByTheirIds) {
  finish_evaluations(options, out, JobKind::kTest);
  const Json in_order = write();
  const fs::path file = out / "test/mae-labels18-seed1/evaluation.json";
  Json evaluation = load_json(file);
  std::ranges::reverse(evaluation["images"]);
  save_json(file, evaluation);
  EXPECT_EQ(write()["comparisons"], in_order["comparisons"]);
  evaluation["images"][0]["id"] = "another";
  save_json(file, evaluation);
  EXPECT_THROW(write(), Error);
}

TEST_F(BenchmarkReport, EveryLinkLeadsToARun) {
  finish_evaluations(options, out, JobKind::kValidate);
  finish_evaluations(options, out, JobKind::kTest);
  write();
  const std::set<std::string> links = links_of(page);
  for (const Job& job : plan_benchmark(options, true)) {
    EXPECT_TRUE(job.kind == JobKind::kPretrain || links.contains(job.name + "/")) << job.name;
  }
  for (const std::string& link : links) EXPECT_TRUE(fs::is_directory(out / link)) << link;
}

TEST_F(BenchmarkReport, DrawsSegmentationsAndReconstructions) {
  finish_evaluations(options, out, JobKind::kValidate);
  make_store(out / "store");
  for (const Job& job : plan_benchmark(options, false)) {
    if (job.kind != JobKind::kFinetune) continue;
    fs::copy_file(fs::path(CMUNET_SOURCE_DIR) / "models/coronary-small.safetensors",
                  out / job.name / "checkpoints" / "best.safetensors");
  }
  write(out / "store");
  std::size_t pictures = 0;
  for (std::size_t at = page.find("<img"); at != std::string::npos; at = page.find("<img", at + 1)) ++pictures;
  // Fig. 5: three images, each with its truth and two numbers of labels. Fig. 6: three truths; three reconstructions of
  // MAE; three segmentations of two methods.
  EXPECT_EQ(pictures, 3U * 4 + 3 + 3 + 2 * 3);
  EXPECT_TRUE(shows("image6")) << "the image at 90 % of the order by Dice";
  EXPECT_TRUE(shows("image1")) << "and at 10 %";
}

TEST(PublishedResults, HoldTogether) {
  for (const PublishedMethod& m : published_methods()) {
    for (std::size_t i = 1; i < m.dice.size(); ++i) EXPECT_GE(m.dice[i], m.dice[i - 1]) << m.name;
    // IoU of pooled pixels is D / (2 − D); averaged over images it is a little larger.
    EXPECT_GE(m.iou, m.dice[0] / (2 - m.dice[0]) - 0.0015) << m.name;
    EXPECT_LE(m.iou, 1.08 * m.dice[0] / (2 - m.dice[0])) << m.name;
  }
  for (const PublishedAgreement& a : published_agreement()) {
    const double middle = (a.lower_px + a.upper_px) / 2;
    EXPECT_NEAR(std::abs(a.bias_px), std::abs(middle), 0.01);
    EXPECT_EQ(std::string(a.remark).empty(), a.bias_px * middle > 0);  // a sign that cannot be is remarked on
  }
}

}  // namespace
}  // namespace cmunet::cli
