// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cmunet/report/text.h"
#include "cmunet/report/well_formed.h"

namespace cmunet::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const double kNaN = std::nan("");
const double kInfinity = std::numeric_limits<double>::infinity();

Table two_columns() { return Table({{"id"}, {"value", 2}}); }

TEST(Escape, MarkupBecomesText) {
  EXPECT_EQ(escape("<script>alert(\"1\" & '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;");
}

TEST(Escape, KeepsValidUtf8AndReplacesTheRest) {
  EXPECT_EQ(escape("Ünï → 😀\t\n"), "Ünï → 😀\t\n");
  for (const char* bad : {"\x01", "\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xEF\xBF\xBE"}) {
    EXPECT_THAT(escape(bad), HasSubstr("\xEF\xBF\xBD")) << bad;
    EXPECT_THAT(escape(bad), Not(HasSubstr(bad)));
  }
  EXPECT_EQ(escape("\xC3<"), "\xEF\xBF\xBD&lt;");  // a cut sequence does not swallow what follows
}

TEST(Text, FixedNumbers) {
  EXPECT_EQ(format_fixed(0.12345, 3), "0.123");
  EXPECT_EQ(format_fixed(-0.0001, 2), "0.00");
  EXPECT_EQ(format_fixed(-1.5, 0), "-2");
  EXPECT_EQ(format_fixed(kNaN, 2), "–");
  EXPECT_EQ(format_fixed(-kInfinity, 2), "-∞");
  EXPECT_EQ(format_fixed(1e308, 2).size(), 312U);
}

TEST(Text, ExactNumbersReadBack) {
  for (const double value : {0.1, 1.0 / 3, 1e-300, 123456789.123, 0.0}) {
    EXPECT_EQ(std::stod(format_exact(value)), value);
  }
  EXPECT_EQ(format_exact(kNaN), "nan");
}

TEST(Text, Base64AsInRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE"), "//4=");
}

TEST(TableCsv, QuotesAsRfc4180) {
  Table table = two_columns();
  table.add_row({"a,b", 1.0});
  table.add_row({"say \"hi\"", 0.1});
  table.add_row({"two\nlines", std::int64_t{7}});
  EXPECT_EQ(to_csv(table), "id,value\r\n\"a,b\",1\r\n\"say \"\"hi\"\"\",0.1\r\n\"two\nlines\",7\r\n");
}

TEST(TableCsv, UndefinedIsEmptyAndNothingIsRounded) {
  Table table = two_columns();
  table.add_row({"a", kNaN});
  table.add_row({"b", 1.0 / 3});
  EXPECT_EQ(to_csv(table), "id,value\r\na,\r\nb,0.3333333333333333\r\n");
}

TEST(TableMarkdown, EscapesPipesAndMarkup) {
  Table table = two_columns();
  table.add_row({"a|b <i>\n_c_", 0.126});
  EXPECT_EQ(to_markdown(table), "| id | value |\n| --- | ---: |\n| a\\|b &lt;i> \\_c\\_ | 0.13 |\n");
}

TEST(TableJson, NonFiniteIsNull) {
  Table table = two_columns();
  table.add_row({"a", kNaN});
  table.add_row({"b", std::int64_t{3}});
  table.add_row({"c", kInfinity});
  EXPECT_EQ(to_json(table).dump(), R"([{"id":"a","value":null},{"id":"b","value":3},{"id":"c","value":null}])");
}

TEST(TableText, AlignsUnicode) {
  Table table({{"µ"}, {"n"}});
  table.add_row({"ab", std::int64_t{1}});
  table.add_row({"±", std::int64_t{100}});
  EXPECT_EQ(to_text(table), "µ     n\nab    1\n±   100\n");
}

TEST(TableText, SmallPValuesAreBelowWhatIsShown) {
  Table table({{.title = "p", .is_p_value = true}});
  for (const double p : {0.05, 0.001, 0.00099, 0.0, kNaN}) table.add_row({p});
  EXPECT_EQ(to_text(table), "      p\n  0.050\n  0.001\n< 0.001\n< 0.001\n      –\n");
  EXPECT_EQ(to_json(table)[2]["p"], 0.00099);
}

TEST(TableHtml, EscapesAndSorts) {
  Table table({{"<id>"}, {"v", 1}});
  table.add_row({"<script>", 0.25});
  table.add_row({"\"quoted\"", kNaN});
  const std::string html = to_html(table, {.caption = "a < b", .sortable = true});
  EXPECT_EQ(WellFormed::problem_of(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("data-key=\"&quot;quoted&quot;\""));
  EXPECT_THAT(html, HasSubstr("<td class=\"number\" data-key=\"0.25\">0.2</td>"));
  EXPECT_THAT(html, HasSubstr("<td class=\"number\" data-key=\"\">–</td>"));
}

TEST(Table, RowsMustFit) {
  Table table = two_columns();
  EXPECT_THROW(table.add_row({"alone"}), Error);
  EXPECT_THROW(Table(std::vector<Table::Column>{}), Error);
}

TEST(Table, SettingsAreDotted) {
  const Table table = settings_table(Json{{"train", {{"lr", 0.001}, {"layers", {1, 2}}}}, {"name", "x"}});
  EXPECT_EQ(to_csv(table), "setting,value\r\ntrain.lr,0.001\r\ntrain.layers,\"[1,2]\"\r\nname,x\r\n");
}

TEST(WellFormed, Fails) {
  for (const char* bad :
       {"<a>", "<a></b>", "a & b", "<a x=1></a>", "<a x=\"1\" x=\"2\"></a>", "</a>", "<a x=\"<\"/>"}) {
    EXPECT_NE(WellFormed::problem_of(bad), "") << bad;
  }
  EXPECT_EQ(WellFormed::problem_of("<a x=\"&lt;\"><b/>&#39;</a>"), "");
}

}  // namespace
}  // namespace cmunet::report
