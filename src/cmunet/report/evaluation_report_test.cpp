// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/evaluation_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const double kNaN = std::nan("");

metrics::Evaluation with_dice(const std::vector<double>& values) {
  metrics::Evaluation evaluation;
  for (const double value : values) {
    metrics::ImageResult& result = evaluation.images.emplace_back();
    result.id = "image" + std::to_string(evaluation.images.size());
    result.metrics.dice = value;
    result.metrics.target_diameter_px = 3 + 0.1 * static_cast<double>(evaluation.images.size());
    result.metrics.pred_diameter_px = 3;
  }
  return evaluation;
}

TEST(Picks, BestMedianWorst) {
  const Picks picks = pick_examples(with_dice({0.5, 0.9, 0.1, 0.7, kNaN, 0.3, 0.8, 0.2, 0.6, 0.4, 0.95}));
  EXPECT_THAT(picks.best, ElementsAre(10, 1, 6));
  EXPECT_THAT(picks.median, ElementsAre(3, 8, 0));
  EXPECT_THAT(picks.worst, ElementsAre(2, 7, 5));
}

TEST(Picks, TiesByPosition) { EXPECT_THAT(pick_examples(with_dice({0.5, 0.5, 0.5})).all(), ElementsAre(0, 1, 2)); }

class PicksOfFew : public ::testing::TestWithParam<int> {};

TEST_P(PicksOfFew, NeverTwiceNeverMissing) {
  std::vector<double> values;
  for (int i = 0; i < GetParam(); ++i) values.push_back(0.01 * i);
  const Picks picks = pick_examples(with_dice(values));
  const auto all = picks.all();
  EXPECT_EQ(std::set<std::size_t>(all.begin(), all.end()).size(), all.size());
  EXPECT_EQ(picks.best.empty(), GetParam() == 0);
  EXPECT_EQ(picks.worst.empty(), GetParam() < 2);
  EXPECT_EQ(picks.median.empty(), GetParam() < 3);
  EXPECT_LE(all.size(), 9U);
}
INSTANTIATE_TEST_SUITE_P(Counts, PicksOfFew, ::testing::Range(0, 12));

Example some_example(const std::string& id) {
  image::Mask pred(8, 8);
  image::Mask target(8, 8);
  pred.at(2, 2) = target.at(2, 2) = target.at(2, 3) = 1;
  return {id, image::ImageF(8, 8, 5.0F), pred, target};
}

TEST(EvaluationHtml, IsWellFormedAndShowsTheExamples) {
  const auto evaluation = with_dice({0.9, 0.5, kNaN, 0.1, 0.3});
  const std::vector<Example> examples{some_example("image1"), some_example("image4"), some_example("unknown")};
  const std::string html = evaluation_html(evaluation, examples, {{"Title", "", ""}, {{"model", {{"file", "m<1>"}}}}});
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, HasSubstr("Best Dice"));
  EXPECT_THAT(html, HasSubstr("Worst Dice"));
  EXPECT_THAT(html, Not(HasSubstr("Median Dice")));  // its image was not given
  EXPECT_THAT(html, Not(HasSubstr("unknown")));
  EXPECT_THAT(html, HasSubstr("model.file"));
  EXPECT_THAT(html, HasSubstr("m&lt;1&gt;"));
  EXPECT_THAT(html, HasSubstr("Bland–Altman"));
  EXPECT_THAT(html, HasSubstr(kDisclaimer));
}

TEST(EvaluationHtml, HostileIdIsText) {
  auto evaluation = with_dice({0.9, 0.8, 0.7});
  evaluation.images[0].id = "<script>alert(1)</script>";
  const std::vector<Example> examples{some_example(evaluation.images[0].id)};
  const std::string html = evaluation_html(evaluation, examples, {});
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)"));
}

TEST(EvaluationHtml, EmptyEvaluation) { EXPECT_EQ(WellFormed::problem_of(evaluation_html({}, {}, {})), ""); }

TEST(EvaluationHtml, SizesMustAgree) {
  Example example = some_example("image1");
  example.image = image::ImageF(4, 8);
  EXPECT_THROW(evaluation_html(with_dice({0.5}), std::vector{example}, {}), Error);
}

TEST(EvaluationTables, RowsAndColumns) {
  auto evaluation = with_dice({0.25, kNaN});
  evaluation.images[0].metrics.counts = {1, 2, 3, 4};
  evaluation.dice = {0.25, 0.1, {0.2, 0.3}, 1, 1};
  const std::string csv = to_csv(image_table(evaluation));
  EXPECT_THAT(csv, HasSubstr("id,dice,cl_dice,iou,modified_hausdorff_px,diameter_difference_px,breaks_per_100px,"
                             "soft_cl_dice,pred_diameter_px,target_diameter_px,tp,fp,fn,tn\r\nimage1,0.25,"));
  EXPECT_THAT(csv, HasSubstr(",1,2,3,4\r\nimage2,,"));
  EXPECT_THAT(to_csv(summary_table(evaluation)), HasSubstr("Dice ↑,0.250 ± 0.100,\"[0.200, 0.300]\",1,1\r\n"));
  EXPECT_THAT(evaluation_text(evaluation), HasSubstr("2 images"));
}

// Every field has a number of its own, so that none passes for another.
metrics::Evaluation numbered() {
  metrics::Evaluation evaluation;
  metrics::ImageResult& result = evaluation.images.emplace_back();
  result.id = "image1";
  metrics::ImageMetrics& m = result.metrics;
  m.counts = {1, 2, 3, 4};
  m.dice = 5, m.cl_dice = 6, m.iou = 7, m.modified_hausdorff_px = 8, m.diameter_difference_px = 9;
  m.breaks_per_100px = 10, m.soft_cl_dice = 11, m.pred_diameter_px = 12, m.target_diameter_px = 13;
  evaluation.dice = {0.1, 0.2, {0.3, 0.4}, 14, 24};
  evaluation.cl_dice = {1.1, 1.2, {1.3, 1.4}, 15, 25};
  evaluation.iou = {2.1, 2.2, {2.3, 2.4}, 16, 26};
  evaluation.modified_hausdorff_px = {3.1, 3.2, {3.3, 3.4}, 17, 27};
  evaluation.diameter_difference_px = {4.1, 4.2, {4.3, 4.4}, 18, 28};
  evaluation.breaks_per_100px = {5.1, 5.2, {5.3, 5.4}, 19, 29};
  evaluation.soft_cl_dice = {6.1, 6.2, {6.3, 6.4}, 20, 30};
  evaluation.pooled_dice = 7.1, evaluation.pooled_iou = 7.2;
  return evaluation;
}

TEST(EvaluationTables, EveryNumberStandsUnderItsTitle) {
  EXPECT_EQ(to_csv(image_table(numbered())),
            "id,dice,cl_dice,iou,modified_hausdorff_px,diameter_difference_px,breaks_per_100px,soft_cl_dice,"
            "pred_diameter_px,target_diameter_px,tp,fp,fn,tn\r\nimage1,5,6,7,8,9,10,11,12,13,1,2,3,4\r\n");
  EXPECT_EQ(to_csv(summary_table(numbered())),
            "measure,mean ± sd,95 % CI,n,undefined\r\n"
            "Dice ↑,0.100 ± 0.200,\"[0.300, 0.400]\",14,24\r\n"
            "clDice ↑,1.100 ± 1.200,\"[1.300, 1.400]\",15,25\r\n"
            "IoU ↑,2.100 ± 2.200,\"[2.300, 2.400]\",16,26\r\n"
            "modified Hausdorff (px) ↓,3.10 ± 3.20,\"[3.30, 3.40]\",17,27\r\n"
            "diameter difference (px) ↓,4.10 ± 4.20,\"[4.30, 4.40]\",18,28\r\n"
            "breaks per 100 px ↓,5.10 ± 5.20,\"[5.30, 5.40]\",19,29\r\n");
  EXPECT_EQ(to_csv(comparison_table(numbered())),
            "measure,value\r\npooled Dice,7.1\r\npooled IoU,7.2\r\nmean soft clDice,6.1\r\n");
}

TEST(EvaluationJson, HasWhatTheTableHasUnderTheSameNames) {
  const Json document = evaluation_json(numbered(), {});
  std::istringstream csv(to_csv(image_table(numbered())));
  std::string titles, numbers, title, number;
  std::getline(csv, titles), std::getline(csv, numbers);
  std::istringstream title_words(titles.substr(0, titles.size() - 1)), number_words(numbers);
  std::size_t columns = 0;
  while (std::getline(title_words, title, ',') && std::getline(number_words, number, ',')) {
    const Json& value = document["images"][0].at(title);
    EXPECT_TRUE(value == "image1" || value.get<double>() == std::stod(number)) << title;
    ++columns;
  }
  EXPECT_EQ(columns, document["images"][0].size());
}

TEST(WriteEvaluation, ThreeFiles) {
  const auto dir = std::filesystem::path(::testing::TempDir()) / "cmunet_write_evaluation";
  std::filesystem::remove_all(dir);
  const auto evaluation = metrics::summarise(with_dice({0.9, 0.5, 0.4}).images, 1);
  write_evaluation(dir, evaluation, {}, {{"T", "", ""}, {{"store", "s"}}});
  const std::string csv = read_file(dir / "evaluation.csv"), table = to_csv(image_table(evaluation));
  EXPECT_EQ(csv.substr(0, csv.find('\r')), table.substr(0, table.find('\r')) + ",not for clinical use");
  EXPECT_THAT(csv, testing::EndsWith(",research software\r\n"));
  EXPECT_THAT(read_file(dir / "report.html"), HasSubstr("<h1>T</h1>"));
  const Json document = load_json(dir / "evaluation.json");
  EXPECT_NEAR(document["metrics"]["dice"]["mean"].get<double>(), 0.6, 1e-12);
  EXPECT_EQ(document["source"]["store"], "s");
  EXPECT_EQ(document["disclaimer"], kDisclaimer);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace cmunet::report
