// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/tune_report.h"

#include <cstdio>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/report/html.h"
#include "cmunet/report/svg.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

std::string dice_text(const Score& score) {
  char text[64];
  std::snprintf(text, sizeof text, "%.4f ± %.4f", score.dice, score.sd);
  return text;
}

// Dice over one numeric key, one line per combination of the others; nothing when the key has no numbers.
std::string chart_over(const std::string& key, const TuneState& state) {
  report::LineChart chart;
  chart.title = "Cross-validated Dice over " + key;
  chart.x = {.label = key, .min = {}, .max = {}, .log = true};
  chart.y.label = "Dice";
  for (std::size_t i = 0; i < state.settings.size(); ++i) {
    Setting others;
    double x = 0;
    for (const auto& entry : state.settings[i].values) {
      if (entry.first != key) {
        others.values.push_back(entry);
      } else if (entry.second.is_number()) {
        x = entry.second.get<double>();
      }
    }
    const Score& score = state.scores[i];
    if (x <= 0 || score.step == 0) continue;
    const std::string name = others.values.empty() ? "mean over folds" : others.name();
    auto series = std::ranges::find(chart.series, name, &report::Series::name);
    if (series == chart.series.end()) series = chart.series.insert(series, {name, {}, {}, {}, {}});
    series->x.push_back(x), series->y.push_back(score.dice);
    series->lower.push_back(score.dice - score.sd), series->upper.push_back(score.dice + score.sd);
  }
  return chart.series.empty() ? std::string() : report::line_chart(chart);
}

std::string curves_of(const Setting& setting, int folds, const fs::path& out) {
  report::LineChart chart;
  chart.title = "Folds of " + setting.name();
  chart.x.label = "step";
  chart.y.label = "Dice of the fold";
  for (int fold = 1; fold <= folds; ++fold) {
    const auto curve = read_fold(out / "folds" / setting.name() / concat("fold", fold));
    if (!curve) continue;
    report::Series series{concat("fold ", fold), {}, curve->dice, {}, {}};
    series.x.assign(curve->steps.begin(), curve->steps.end());
    chart.series.push_back(std::move(series));
  }
  return report::line_chart(chart);
}

std::string page_of(const TuneState& state, const fs::path& out) {
  std::int64_t done = 0;
  for (const Score& score : state.scores) done += score.folds_done;
  report::Page page(
      {.title = "Settings of fine-tuning by cross-validation",
       .subtitle = concat(done, " runs of ", state.settings.size(), " settings with ", state.options.folds, " folds"),
       .date = {}});
  if (state.best) {
    const Score& score = state.scores[*state.best];
    page.facts(std::vector<report::Fact>{{"Chosen", state.settings[*state.best].name(), "highest mean Dice"},
                                         {"Cross-validated Dice", dice_text(score), "mean ± sd over folds"},
                                         {"Steps", concat(score.step), "of the final model, on all images"}});
  }
  page.paragraph(
      "Every fold starts from the same initial weights and is measured on images of the fine-tuning set that it has "
      "not learnt from. The Dice of the chosen setting is the highest of many and so a little too good; validation "
      "and test images were not opened.");
  page.table(score_table(state.settings, state.scores), {.caption = "Mean per-image Dice at the step where its mean "
                                                                    "over folds is highest",
                                                         .sortable = true});
  for (const auto& [key, values] : state.options.grid) {
    if (values.size() < 2) continue;
    if (const std::string svg = chart_over(key, state); !svg.empty()) page.svg(svg);
  }
  if (state.best) page.svg(curves_of(state.settings[*state.best], state.options.folds, out));
  return page.str();
}

}  // namespace

std::string line_of(const Setting& setting, const Score& score) {
  if (score.diverged) return setting.name() + ": diverged";
  if (score.step == 0) return concat(setting.name(), ": ", score.folds_done, " folds done");
  return concat(setting.name(), ": Dice ", dice_text(score), " at step ", score.step);
}

Json write_tune_report(const TuneState& state, const fs::path& out) {
  const report::Table table = score_table(state.settings, state.scores);
  Json document = {{"disclaimer", kDisclaimer}, {"folds", state.options.folds}, {"settings", Json::array()}};
  for (std::size_t i = 0; i < state.settings.size(); ++i) {
    const Score& score = state.scores[i];
    Json row = {{"name", state.settings[i].name()}, {"folds_done", score.folds_done}, {"diverged", score.diverged}};
    for (const auto& [key, value] : state.settings[i].values) row["values"][key] = value;
    if (score.step > 0) row.update({{"dice", score.dice}, {"sd", score.sd}, {"steps", score.step}});
    document["settings"].push_back(row);
  }
  if (state.best) document["chosen"] = document["settings"][*state.best];
  save_json(out / "tune.json", document);
  report::write_csv(out / "tune.csv", table);
  write_file_atomic(out / "report.html", page_of(state, out));
  document["table"] = report::to_text(table);
  return document;
}

}  // namespace cmunet::cli
