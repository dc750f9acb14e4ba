// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"
#include "cmunet/report/training_report.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kHostile = "</title><script>alert(1)</script>\"'&";

Page hostile_page() {
  Page page({kHostile, kHostile, kHostile});
  page.heading(kHostile);
  page.subheading(kHostile);
  page.paragraph(kHostile);
  page.facts(std::vector<Fact>{{kHostile, kHostile, kHostile}});
  page.colour_keys(std::vector<ColourKey>{{{1, 2, 3}, kHostile}});
  page.picture(image::ImageRgb(2, 3), kHostile);
  page.svg("<svg></svg>", kHostile);
  page.wide_svg("<svg></svg>", kHostile);
  PictureGrid grid;
  grid.columns = {kHostile, kHostile};
  grid.rows = {{kHostile, {{image::ImageRgb(2, 3), kHostile, kHostile}, {}}}};
  page.pictures(grid, kHostile);
  Table table({{kHostile}, {kHostile}});
  table.add_row({kHostile, kHostile});
  table.link(0, {{kHostile, kHostile}});
  table.link(1, {{"", kHostile}});
  page.table(table, {.caption = kHostile, .sortable = false});
  return page;
}

TEST(Page, HostileTextStaysText) {
  const std::string html = hostile_page().str();
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("script-src")));
}

TEST(Page, IsSelfContainedAndReproducible) {
  const std::string html = hostile_page().str();
  EXPECT_EQ(html, hostile_page().str());
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* outside : {"http://", "https://", "url(", "@import", "<link"}) {
    EXPECT_THAT(html, Not(HasSubstr(outside))) << outside;
  }
}

TEST(Page, CarriesDisclaimerVersionAndDateWhenGiven) {
  EXPECT_THAT(Page({"t", "", ""}).str(), HasSubstr(kDisclaimer));
  EXPECT_THAT(Page({"t", "", ""}).str(), HasSubstr(concat("cmunet ", kVersion, " · Research")));
  EXPECT_THAT(Page({"t", "", "2 May 2031"}).str(), HasSubstr("2 May 2031"));
}

TEST(Page, SortableTableBringsItsScript) {
  Page page({"t", "", ""});
  Table table({{"a"}});
  table.add_row({"x"});
  page.table(table, {.caption = "", .sortable = true});
  const std::string html = page.str();
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, HasSubstr("script-src 'nonce-cmunet-sort'"));
  EXPECT_THAT(html, HasSubstr("<script nonce=\"cmunet-sort\">"));
}

TEST(Page, FiguresOfAKindShareARow) {
  Page page({"t", "", ""});
  page.svg("<svg></svg>");
  page.svg("<svg></svg>");
  page.picture(image::Image<std::uint8_t>(2, 2), "grey");
  const std::string html = page.str();
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, HasSubstr("<div class=\"row plots\">\n<figure><svg></svg></figure>\n<figure><svg></svg></figure>\n"
                              "</div>\n<div class=\"row pictures\">"));
  EXPECT_THAT(html, HasSubstr("src=\"data:image/"));
}

TEST(Page, EmptyPictureIsAnError) {
  Page page({"t", "", ""});
  EXPECT_THROW(page.picture(image::ImageRgb(), "none"), Error);
}

std::vector<Json> some_rows() {
  return {{{"epoch", 1}, {"step", 10}, {"loss", 0.9}, {"loss_dice", 0.5}, {"lr", 0.1}, {"elapsed_s", 5.0}},
          {{"epoch", 2}, {"step", 20}, {"loss", 0.7}, {"loss_dice", nullptr}, {"lr", 0.2}, {"val_dice", 0.6}}};
}

TEST(Training, ChartsGroupKeys) {
  const auto charts = training_charts(some_rows());
  ASSERT_EQ(charts.size(), 3U);
  EXPECT_EQ(charts[0].title, "Training loss");
  EXPECT_EQ(charts[0].x.label, "epoch");
  ASSERT_EQ(charts[0].series.size(), 2U);
  EXPECT_EQ(charts[0].series[0].y, (std::vector{0.9, 0.7}));
  EXPECT_TRUE(std::isnan(charts[0].series[1].y[1]));
  EXPECT_EQ(charts[1].title, "Learning rate");
  EXPECT_EQ(charts[2].series[0].name, "val dice");
}

TEST(Training, StepsWhenAnEpochHasSeveralRows) {
  auto rows = some_rows();
  rows[1]["epoch"] = 1;
  EXPECT_EQ(training_charts(rows)[0].series[0].x, (std::vector{10.0, 20.0}));
}

TEST(Training, PageShowsAll) {
  TrainingPage page;
  page.head.title = "Fine-tuning";
  page.charts = training_charts(some_rows());
  page.facts = {{"Best validation Dice", "0.600", ""}};
  page.tables = {{"Options", settings_table(Json{{"finetune", {{"lr", 0.1}}}})}};
  page.pictures = {{"<b>before</b>", image::ImageRgb(4, 4)}};
  const std::string html = training_html(page);
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, HasSubstr("finetune.lr"));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;before"));
  EXPECT_EQ(WellFormed::problem_of(training_html({})), "");
}

}  // namespace
}  // namespace cmunet::report
