// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/evaluation_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

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
