// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/report/html.h"
#include "cmunet/report/svg.h"
#include "cmunet/stats/agreement.h"
#include "cmunet/stats/paired_tests.h"
#include "cmunet/stats/summary.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kBootstrapSeed = 42;

struct Metric {
  const char* key;
  const char* title;
};
constexpr std::array<Metric, 4> kMetrics{{{"dice", "Dice"},
                                          {"cl_dice", "clDice"},
                                          {"modified_hausdorff_px", "modified Hausdorff (px)"},
                                          {"diameter_difference_px", "diameter difference (px)"}}};

struct Cell {
  Job job;
  std::int64_t images = 0;  // it was trained on
  double val_dice = kNaN;
  Json test;  // evaluation.json; null before --test
};

double number_or_nan(const Json& value) { return value.is_number() ? value.get<double>() : kNaN; }

std::vector<Cell> finished_cells(const BenchmarkOptions& options, const fs::path& out) {
  std::vector<Cell> cells;
  for (const Job& job : plan_benchmark(options, false)) {
    if (job.kind != JobKind::kFinetune || !is_done(job, out)) continue;
    const Json record = load_json(out / job.name / "run.json");
    Cell cell{job, record.value("images", std::int64_t{0}), number_or_nan(record.value("best_val_dice", Json())), {}};
    const fs::path test = out / ("test" + job.name.substr(job.name.find('/'))) / "evaluation.json";
    if (fs::exists(test)) cell.test = load_json(test);
    cells.push_back(std::move(cell));
  }
  return cells;
}

double test_mean(const Cell& cell, const char* metric) {
  return cell.test.is_null() ? kNaN : number_or_nan(cell.test["metrics"][metric]["mean"]);
}

// Values of one cell of a table, one per seed, without the undefined.
using Values = std::function<double(const Cell&)>;
std::vector<double> over_seeds(const std::vector<Cell>& cells, const std::string& regime, const std::string& method,
                               std::int64_t labels, const Values& value) {
  std::vector<double> values;
  for (const Cell& cell : cells) {
    if (cell.job.regime != regime || cell.job.method != method || cell.job.labels != labels) continue;
    if (const double v = value(cell); !std::isnan(v)) values.push_back(v);
  }
  return values;
}

std::string mean_and_sd(const std::vector<double>& values) {
  if (values.empty()) return "–";
  char text[64];
  if (values.size() == 1) {
    std::snprintf(text, sizeof text, "%.3f (1 seed)", values[0]);
  } else {
    std::snprintf(text, sizeof text, "%.3f ± %.3f (%zu)", stats::mean(values), stats::standard_deviation(values),
                  values.size());
  }
  return text;
}

std::string labels_title(std::int64_t labels) { return labels == 0 ? "all labels" : concat(labels, " labels"); }

report::Table table_of(const BenchmarkOptions& options, const std::vector<Cell>& cells, const std::string& regime,
                       const Values& value) {
  std::vector<report::Table::Column> columns{{"method", 0}};
  for (const std::int64_t labels : options.labels) columns.push_back({labels_title(labels), 0});
  report::Table table(columns);
  for (const auto& method : options.methods) {
    std::vector<report::Cell> row{method.name};
    for (const std::int64_t labels : options.labels) {
      row.emplace_back(mean_and_sd(over_seeds(cells, regime, method.name, labels, value)));
    }
    table.add_row(std::move(row));
  }
  return table;
}

// One line per method over the number of labelled images; the band spans the seeds.
std::string chart_of(const BenchmarkOptions& options, const std::vector<Cell>& cells, const std::string& regime,
                     const std::string& title, const Values& value) {
  report::LineChart chart;
  chart.title = chart.y.label = title;
  chart.x.label = "labelled images";
  chart.x.log = true;
  for (const auto& method : options.methods) {
    report::Series series;
    series.name = method.name;
    std::map<double, std::int64_t> positions;
    for (const Cell& cell : cells) {
      if (cell.job.regime == regime && cell.job.method == method.name) {
        positions[static_cast<double>(cell.images)] = cell.job.labels;
      }
    }
    for (const auto& [images, labels] : positions) {
      const std::vector<double> values = over_seeds(cells, regime, method.name, labels, value);
      if (values.empty()) continue;
      series.x.push_back(images);
      series.y.push_back(stats::mean(values));
      series.lower.push_back(*std::ranges::min_element(values));
      series.upper.push_back(*std::ranges::max_element(values));
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  }
  return chart.series.empty() ? std::string() : report::line_chart(chart);
}

std::vector<double> image_dice(const Json& evaluation) {
  std::vector<double> values;
  for (const Json& image : evaluation["images"]) values.push_back(number_or_nan(image["dice"]));
  return values;
}

// Per-image test Dice of the seeds that both cells have.
std::pair<DiceBySeed, DiceBySeed> paired_dice(const std::vector<Cell>& cells, const Cell& of, const std::string& base) {
  std::pair<DiceBySeed, DiceBySeed> pair;
  for (const Cell& a : cells) {
    if (a.test.is_null() || a.job.method != of.job.method || a.job.labels != of.job.labels ||
        a.job.regime != of.job.regime) {
      continue;
    }
    for (const Cell& b : cells) {
      if (b.test.is_null() || b.job.method != base || b.job.labels != a.job.labels || b.job.seed != a.job.seed ||
          b.job.regime != a.job.regime) {
        continue;
      }
      pair.first.push_back(image_dice(a.test));
      pair.second.push_back(image_dice(b.test));
    }
  }
  return pair;
}

std::vector<Comparison> comparisons_of(const BenchmarkOptions& options, const std::vector<Cell>& cells) {
  std::vector<Comparison> result;
  const std::string& base = options.methods.front().name;
  for (const Cell& cell : cells) {
    const bool listed = std::ranges::any_of(result, [&](const Comparison& c) {
      return c.method == cell.job.method && c.labels == cell.job.labels && c.regime == cell.job.regime;
    });
    if (cell.job.method == base || listed) continue;
    const auto [values, baseline] = paired_dice(cells, cell, base);
    if (values.empty()) continue;
    Comparison& c = result.emplace_back(compare_cells(values, baseline));
    c.regime = cell.job.regime, c.method = cell.job.method, c.labels = cell.job.labels;
  }
  std::vector<double> p;
  for (const Comparison& c : result) p.push_back(std::isnan(c.p_wilcoxon) ? 1.0 : c.p_wilcoxon);
  const std::vector<double> adjusted = stats::holm_adjust(p);
  for (std::size_t i = 0; i < result.size(); ++i) result[i].p_holm = adjusted[i];
  return result;
}

report::Table comparison_table(const std::vector<Comparison>& comparisons) {
  report::Table table({{"method", 0},
                       {"labels", 0},
                       {"difference in Dice", 4},
                       {"95 % low", 4},
                       {"95 % high", 4},
                       {"Cohen's d", 2},
                       {"p, paired t", 4},
                       {"p, Wilcoxon", 4},
                       {"p, Holm", 4},
                       {"seeds", 0},
                       {"images", 0}});
  for (const Comparison& c : comparisons) {
    table.add_row({c.regime.empty() ? c.method : c.method + ", " + c.regime, c.labels == 0 ? "all" : concat(c.labels),
                   c.difference, c.low, c.high, c.effect_size, c.p_t, c.p_wilcoxon, c.p_holm, c.seeds, c.images});
  }
  return table;
}

report::Table cell_table(const std::vector<Cell>& cells) {
  report::Table table({{"run", 0},
                       {"method", 0},
                       {"images", 0},
                       {"seed", 0},
                       {"validation Dice", 4},
                       {"test Dice", 4},
                       {"test clDice", 4},
                       {"test modified Hausdorff (px)", 2},
                       {"test diameter difference (px)", 3}});
  for (const Cell& cell : cells) {
    std::vector<report::Cell> row{cell.job.name, cell.job.method, cell.images, cell.job.seed, cell.val_dice};
    for (const Metric& metric : kMetrics) row.emplace_back(test_mean(cell, metric.key));
    table.add_row(std::move(row));
  }
  return table;
}

// Table I and Fig. 3 of the paper as its authors' logs restore them.
report::Table published_table() {
  report::Table table({{"method (published)", 0},
                       {"18 labels", 3},
                       {"87 labels", 3},
                       {"174 labels", 3},
                       {"348 labels", 3},
                       {"522 labels", 3}});
  table.add_row({"UNet from scratch", 0.375, 0.602, 0.664, 0.703, 0.708});
  table.add_row({"Models Genesis", 0.563, 0.641, 0.678, 0.696, 0.709});
  table.add_row({"MAE", 0.557, 0.618, 0.669, 0.700, 0.705});
  table.add_row({"SparK", 0.521, 0.630, 0.665, 0.693, 0.705});
  table.add_row({"MoCo v2", 0.556, 0.647, 0.685, 0.710, 0.710});
  table.add_row({"CM-UNet", 0.626, 0.684, 0.700, 0.719, 0.738});
  return table;
}

void add_agreement(const std::vector<Cell>& cells, std::int64_t labels, report::Page& page) {
  const auto found = std::ranges::find_if(cells, [&](const Cell& cell) {
    return cell.job.method == "cm_unet" && cell.job.labels == labels && !cell.test.is_null();
  });
  if (found == cells.end()) return;
  std::vector<double> pred, target, means, differences;
  std::vector<std::string> ids;
  for (const Json& image : found->test["images"]) {
    const double p = number_or_nan(image["pred_diameter_px"]), t = number_or_nan(image["target_diameter_px"]);
    if (std::isnan(p) || std::isnan(t)) continue;
    pred.push_back(p), target.push_back(t);
    means.push_back((p + t) / 2), differences.push_back(p - t);
    ids.push_back(image["id"].get<std::string>());
  }
  if (pred.size() < 3) return;
  const double r = stats::pearson(target, pred);
  const stats::Line line = stats::regression(target, pred);
  const stats::Agreement agreement = stats::bland_altman(pred, target);
  char legend[120];
  std::snprintf(legend, sizeof legend, "y = %.2f x + %.2f, r = %.2f, p = %.2g", line.slope, line.intercept, r,
                stats::pearson_p_value(r, static_cast<std::int64_t>(pred.size())));
  report::ScatterPlot scatter;
  scatter.title = "Mean diameter, " + labels_title(labels);
  scatter.x.label = "true (px)";
  scatter.y.label = "segmented (px)";
  scatter.x_values = target, scatter.y_values = pred, scatter.labels = ids;
  scatter.regression = report::ScatterPlot::Line{line.slope, line.intercept};
  scatter.regression_name = legend;
  scatter.identity_line = true;
  page.svg(report::scatter_plot(scatter));
  report::BlandAltmanPlot plot;
  plot.title = "Agreement, " + labels_title(labels);
  plot.x.label = "mean of both (px)";
  plot.y.label = "segmented − true (px)";
  plot.means = means, plot.differences = differences, plot.labels = ids;
  plot.bias = agreement.bias, plot.lower_limit = agreement.lower_limit, plot.upper_limit = agreement.upper_limit;
  page.svg(report::bland_altman_plot(plot));
}

Json benchmark_json(const std::vector<Cell>& cells, const std::vector<Comparison>& comparisons) {
  Json document = {{"disclaimer", kDisclaimer}, {"cells", Json::array()}};
  for (const Cell& cell : cells) {
    Json row = {{"run", cell.job.name},      {"method", cell.job.method}, {"regime", cell.job.regime},
                {"labels", cell.job.labels}, {"images", cell.images},     {"seed", cell.job.seed},
                {"val_dice", cell.val_dice}};
    if (!cell.test.is_null()) row["test"] = cell.test["metrics"];
    document["cells"].push_back(row);
  }
  document["comparisons"] = report::to_json(comparison_table(comparisons));
  return document;
}

void add_regime(const BenchmarkOptions& options, const std::vector<Cell>& cells, const std::string& regime,
                report::Page& page) {
  if (!regime.empty()) page.heading("Regime " + regime);
  const bool tested = std::ranges::any_of(cells, [](const Cell& cell) { return !cell.test.is_null(); });
  const auto chart = [&](const std::string& title, const Values& value) {
    if (const std::string svg = chart_of(options, cells, regime, title, value); !svg.empty()) page.svg(svg);
  };
  if (tested) {
    page.heading("Test images");
    for (const Metric& metric : kMetrics) {
      page.table(table_of(options, cells, regime, [&](const Cell& cell) { return test_mean(cell, metric.key); }),
                 {.caption = concat(metric.title, ": mean ± sd over seeds (their number)")});
    }
    chart("test Dice", [](const Cell& cell) { return test_mean(cell, "dice"); });
    chart("test modified Hausdorff (px)", [](const Cell& cell) { return test_mean(cell, "modified_hausdorff_px"); });
  }
  page.heading("Validation images, which chose the step of every model");
  page.table(table_of(options, cells, regime, [](const Cell& cell) { return cell.val_dice; }),
             {.caption = "Dice: mean ± sd over seeds (their number)"});
  chart("validation Dice", [](const Cell& cell) { return cell.val_dice; });
}

}  // namespace

Comparison compare_cells(const DiceBySeed& cell, const DiceBySeed& baseline) {
  CMUNET_CHECK(!cell.empty() && cell.size() == baseline.size(), ErrorCode::kInvalidArgument, "[compare] ", cell.size(),
               " and ", baseline.size(), " seeds; expected as many");
  std::vector<double> a, b, differences;
  for (std::size_t image = 0; image < cell[0].size(); ++image) {
    double sum_a = 0, sum_b = 0;
    for (std::size_t seed = 0; seed < cell.size(); ++seed) {
      CMUNET_CHECK(cell[seed].size() == baseline[seed].size() && cell[seed].size() == cell[0].size(),
                   ErrorCode::kInvalidArgument, "[compare] the cells were evaluated on different images");
      sum_a += cell[seed][image], sum_b += baseline[seed][image];
    }
    if (std::isnan(sum_a) || std::isnan(sum_b)) continue;
    const auto seeds = static_cast<double>(cell.size());
    a.push_back(sum_a / seeds), b.push_back(sum_b / seeds);
    differences.push_back((sum_a - sum_b) / seeds);
  }
  Comparison c;
  c.images = static_cast<std::int64_t>(differences.size());
  c.seeds = static_cast<std::int64_t>(cell.size());
  c.difference = stats::mean(differences);
  const auto interval = stats::bootstrap_mean_interval(differences, kBootstrapSeed);
  c.low = interval[0], c.high = interval[1];
  c.effect_size = c.difference / stats::standard_deviation(differences);
  c.p_t = stats::paired_t_test(a, b).p;
  c.p_wilcoxon = stats::wilcoxon_signed_rank_test(a, b).p;
  return c;
}

Json write_benchmark_report(const BenchmarkOptions& options, const fs::path& out) {
  const std::vector<Cell> cells = finished_cells(options, out);
  const std::vector<Comparison> comparisons = comparisons_of(options, cells);
  const std::size_t planned =
      options.methods.size() * options.labels.size() * options.seeds.size() * options.regimes.size();
  report::Page page({.title = "Pre-training methods compared",
                     .subtitle = concat(cells.size(), " of ", planned, " models trained"),
                     .date = {}});
  for (const auto& regime : options.regimes) add_regime(options, cells, regime.name, page);
  if (!comparisons.empty()) {
    page.heading("Differences from " + options.methods.front().name);
    page.paragraph(
        "Per-image Dice on the same test images, averaged over seeds. Intervals and tests are over images; "
        "that other seeds would differ is shown by the standard deviations above.");
    page.table(comparison_table(comparisons), {.caption = "Paired differences", .sortable = true});
    page.heading("Diameters by CM-UNet");
    const auto fewest = std::ranges::min_element(
        options.labels, {}, [](std::int64_t n) { return n == 0 ? std::numeric_limits<std::int64_t>::max() : n; });
    add_agreement(cells, *fewest, page);
    const bool has_all = std::ranges::find(options.labels, 0) != options.labels.end();
    if (*fewest != 0 && has_all) add_agreement(cells, 0, page);
  }
  page.heading("Published values");
  page.paragraph(
      "Dice that the paper reports on its own images (FAME 2). Its learning rate and epoch were chosen on test "
      "images, and CM-UNet and MoCo v2 were measured pooled over batches, the others per image: not comparable with "
      "the figures above or quite with one another.");
  page.table(published_table(), {.caption = "From the paper and its logs"});
  page.heading("All runs");
  page.table(cell_table(cells), {.caption = "Folders below this page's", .sortable = true});
  write_file_atomic(out / "report.html", page.str());
  write_file_atomic(out / "cells.csv", report::to_csv(cell_table(cells)));
  const Json document = benchmark_json(cells, comparisons);
  save_json(out / "benchmark.json", document);
  return document;
}

}  // namespace cmunet::cli
