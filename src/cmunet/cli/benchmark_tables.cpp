// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_tables.h"

#include <array>

#include "cmunet/base/error.h"
#include "cmunet/cli/published_results.h"
#include "cmunet/report/text.h"
#include "cmunet/stats/agreement.h"

namespace cmunet::cli {
namespace {

using report::format_fixed;
using report::Link;

struct Metric {
  const char* key;
  const char* title;
  int digits;
};
constexpr std::array<Metric, kTableMeasures.size()> kMetrics{{{kTableMeasures[0], "Dice ↑", 3},
                                                              {kTableMeasures[1], "clDice ↑", 3},
                                                              {kTableMeasures[2], "IoU ↑", 3},
                                                              {kTableMeasures[3], "modified Hausdorff (px) ↓", 2},
                                                              {kTableMeasures[4], "diameter difference (px) ↓", 2},
                                                              {kTableMeasures[5], "breaks per 100 px ↓", 2}}};

using CellPointers = std::vector<const BenchmarkCell*>;

// "0.752 [0.741, 0.763]; 2 undefined; 2 of 3 seeds": what is missing is only said where it is.
std::string text_of(const SeedMean& mean, std::size_t seeds, int digits) {
  std::string text = format_fixed(mean.mean, digits);
  if (mean.cells.size() >= 2) {
    text += concat(" [", format_fixed(mean.low, digits), ", ", format_fixed(mean.high, digits), "]");
  }
  if (mean.undefined > 0) text += concat("; ", mean.undefined, " undefined");
  if (mean.cells.size() < seeds) text += concat("; ", mean.cells.size(), " of ", seeds, " seeds");
  return text;
}

// To the runs that a mean is of.
std::vector<Link> links_of(const SeedMean& mean, Shown shown) {
  std::vector<Link> links;
  for (const BenchmarkCell* cell : mean.cells) links.push_back({concat(cell->job.seed), cell->folder(shown) + "/"});
  return links;
}

}  // namespace

report::Table table_one(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                        const std::string& regime, std::int64_t labels, Shown shown) {
  std::vector<report::Table::Column> columns{{"method"}};
  for (const Metric& metric : kMetrics) columns.push_back({metric.title});
  columns.push_back({"parameters (M)", 2});
  columns.push_back({"seeds"});
  report::Table table(std::move(columns));
  for (const auto& method : options.methods) {
    const CellPointers seeds = cells_of(cells, regime, method.name, labels);
    if (seeds.empty()) continue;
    std::vector<report::Cell> row{method.name};
    std::vector<SeedMean> means;
    for (const Metric& metric : kMetrics) {
      means.push_back(mean_over_seeds(seeds, shown, metric.key));
      row.emplace_back(text_of(means.back(), seeds.size(), metric.digits));
    }
    row.emplace_back(seeds.front()->parameters / 1e6);
    row.emplace_back(static_cast<std::int64_t>(seeds.size()));
    table.add_row(std::move(row));
    for (std::size_t m = 0; m < means.size(); ++m) table.link(m + 1, links_of(means[m], shown));
    const std::string& trained = seeds.front()->job.needs.empty() ? seeds.front()->job.name : seeds.front()->job.needs;
    table.link(kMetrics.size() + 1, {{"", trained + "/"}});
  }
  return table;
}

report::Table published_table_one() {
  report::Table table({{"method (published)"},
                       {"Dice ↑", 3},
                       {"Cl-Dice ↑", 3},
                       {"IoU ↑", 3},
                       {"HD (px) ↓", 2},
                       {"ADD (px) ↓", 3},
                       {"parameters (M)", 2},
                       {"remark"}});
  for (const PublishedMethod& m : published_methods()) {
    table.add_row({m.name, m.dice[0], m.cl_dice, m.iou, m.modified_hausdorff_px[0], m.diameter_difference_px,
                   m.parameters_millions, m.remark});
  }
  return table;
}

report::Table dice_table(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                         const std::string& regime, Shown shown) {
  std::vector<report::Table::Column> columns{{"method"}};
  for (const std::int64_t labels : options.labels) columns.push_back({labels_title(labels)});
  report::Table table(std::move(columns));
  for (const auto& method : options.methods) {
    std::vector<report::Cell> row{method.name};
    std::vector<SeedMean> means;
    for (const std::int64_t labels : options.labels) {
      const CellPointers seeds = cells_of(cells, regime, method.name, labels);
      means.push_back(mean_over_seeds(seeds, shown, kMetrics[0].key));
      row.emplace_back(text_of(means.back(), seeds.size(), kMetrics[0].digits));
    }
    table.add_row(std::move(row));
    for (std::size_t i = 0; i < means.size(); ++i) table.link(i + 1, links_of(means[i], shown));
  }
  return table;
}

report::Table published_dice_table() {
  std::vector<report::Table::Column> columns{{"method (published)"}};
  for (const double labels : kPublishedLabels) columns.push_back({labels_title(static_cast<std::int64_t>(labels)), 3});
  report::Table table(std::move(columns));
  for (const PublishedMethod& m : published_methods()) {
    table.add_row({m.name, m.dice[0], m.dice[1], m.dice[2], m.dice[3], m.dice[4]});
  }
  return table;
}

report::Table agreement_table(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                              const std::string& regime, Shown shown) {
  report::Table table({{"method"},
                       {"labels"},
                       {"seed"},
                       {"Pearson r", 3},
                       {.title = "p", .is_p_value = true},
                       {"slope", 3},
                       {"intercept (px)", 2},
                       {"bias (px)", 2},
                       {"lower limit (px)", 2},
                       {"upper limit (px)", 2},
                       {"images"},
                       {"undefined"}});
  for (const auto& method : options.methods) {
    for (const std::int64_t labels : options.labels) {
      for (const BenchmarkCell* cell : cells_of(cells, regime, method.name, labels)) {
        if (!cell->has_evaluation(shown)) continue;
        const auto [d, undefined] = diameters_of(cell->evaluation(shown));
        const double r = stats::pearson(d.target_px, d.pred_px);
        const stats::Line line = stats::regression(d.target_px, d.pred_px);
        const stats::Agreement agreement = stats::bland_altman(d.pred_px, d.target_px);
        table.add_row({method.name, labels == 0 ? "all" : concat(labels), cell->job.seed, r,
                       stats::pearson_p_value(r, std::ssize(d.ids)), line.slope, line.intercept, agreement.bias,
                       agreement.lower_limit, agreement.upper_limit, std::ssize(d.ids), undefined});
        for (std::size_t c = 3; c < table.columns().size(); ++c) table.link(c, {{"", cell->folder(shown) + "/"}});
        break;
      }
    }
  }
  return table;
}

report::Table published_agreement_table() {
  report::Table table({{"method (published)"},
                       {"labels"},
                       {"Pearson r", 2},
                       {"p"},
                       {"bias (px)", 2},
                       {"lower limit (px)", 2},
                       {"upper limit (px)", 2},
                       {"remark"}});
  for (const PublishedAgreement& a : published_agreement()) {
    table.add_row(
        {"cm_unet", static_cast<std::int64_t>(a.labels), a.r, "< 0.001", a.bias_px, a.lower_px, a.upper_px, a.remark});
  }
  return table;
}

report::Table comparison_table(const std::vector<Comparison>& comparisons) {
  std::vector<report::Table::Column> columns = statistics_columns("Dice");
  columns.insert(columns.begin(), {{"method"}, {"labels"}, {"seeds"}});
  report::Table table(std::move(columns));
  for (const Comparison& c : comparisons) {
    std::vector<report::Cell> cells = statistics_cells(c);
    cells.insert(cells.begin(), {c.regime.empty() ? c.method : c.method + ", " + c.regime,
                                 c.labels == 0 ? "all" : concat(c.labels), c.seeds});
    table.add_row(std::move(cells));
    table.link(0, c.runs);
    table.link(2, c.baseline_runs);
  }
  return table;
}

report::Table cell_table(const std::vector<BenchmarkCell>& cells) {
  report::Table table({{"run"},
                       {"method"},
                       {"images"},
                       {"seed"},
                       {"steps of pre-training"},
                       {"steps"},
                       {"best step"},
                       {"validation Dice", 4},
                       {"test Dice", 4},
                       {"test clDice", 4},
                       {"test modified Hausdorff (px)", 2},
                       {"test diameter difference (px)", 3}});
  constexpr std::array<const char*, 4> kKeys{"dice", "cl_dice", "modified_hausdorff_px", "diameter_difference_px"};
  for (const BenchmarkCell& cell : cells) {
    std::vector<report::Cell> row{cell.job.name,       cell.job.method, cell.images,    cell.job.seed,
                                  cell.pretrain_steps, cell.steps,      cell.best_step, cell.val_dice};
    for (const char* key : kKeys) row.emplace_back(cell.metric(Shown::kTest, key));
    table.add_row(std::move(row));
    table.link(0, {{"", cell.job.name + "/"}});
    table.link(7, {{"", cell.folder(Shown::kValidation) + "/"}});
    for (std::size_t c = 8; c < 12; ++c) table.link(c, {{"", cell.folder(Shown::kTest) + "/"}});
  }
  return table;
}

report::Table cell_file_table(const std::vector<BenchmarkCell>& cells) {
  std::vector<report::Table::Column> columns;
  for (const char* title : {"run", "method", "regime", "labels", "images", "seed", "parameters", "pretrain_steps",
                            "steps", "best_step", "best_dice_on_val"}) {
    columns.push_back({title});
  }
  std::vector<std::string> keys(kTableMeasures.begin(), kTableMeasures.end());
  keys.emplace_back("soft_cl_dice");  // the paper's Cl-Dice
  for (const char* split : {"val", "test"}) {
    for (const std::string& key : keys) {
      for (const char* part : {"", "_low", "_high", "_undefined"}) columns.push_back({concat(split, "_", key, part)});
    }
  }
  report::Table table(std::move(columns));
  for (const BenchmarkCell& cell : cells) {
    std::vector<report::Cell> row{cell.job.name, cell.job.method, cell.job.regime, cell.job.labels,
                                  cell.images,   cell.job.seed,   cell.parameters, cell.pretrain_steps,
                                  cell.steps,    cell.best_step,  cell.val_dice};
    for (const Shown shown : {Shown::kValidation, Shown::kTest}) {
      for (const std::string& key : keys) {
        Json summary = cell.summary(shown, key);
        row.emplace_back(number_or_nan(summary["mean"]));
        row.emplace_back(number_or_nan(summary["ci95"][0]));
        row.emplace_back(number_or_nan(summary["ci95"][1]));
        row.emplace_back(number_or_nan(summary["undefined"]));
      }
    }
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace cmunet::cli
