// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_report.h"

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/cli/benchmark_figures.h"
#include "cmunet/cli/benchmark_tables.h"
#include "cmunet/cli/published_results.h"
#include "cmunet/report/html.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

// What Table I shows, as numbers.
Json means_json(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells, Shown shown) {
  Json rows = Json::array();
  for (const auto& regime : options.regimes) {
    for (const std::int64_t labels : regime.labels) {
      for (const auto& method : options.methods) {
        const auto seeds = cells_of(cells, regime.name, method.name, labels);
        for (const char* key : kTableMeasures) {
          const SeedMean m = mean_over_seeds(seeds, shown, key);
          if (m.cells.empty()) continue;
          rows.push_back({{"regime", regime.name},
                          {"labels", labels},
                          {"method", method.name},
                          {"measure", key},
                          {"mean", m.mean},
                          {"ci95", {m.low, m.high}},
                          {"seeds", m.cells.size()},
                          {"undefined", m.undefined}});
        }
      }
    }
  }
  return rows;
}

Json agreement_json(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells, Shown shown) {
  Json rows = Json::array();
  for (const auto& regime : options.regimes) {
    for (Json& row : report::to_json(agreement_table(options, cells, regime.name, shown))) {
      row["regime"] = regime.name;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json benchmark_json(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells, Shown shown,
                    const std::vector<Comparison>& comparisons, const std::vector<std::string>& diverged) {
  Json document = {{"disclaimer", kDisclaimer},
                   {"figures_of", shown == Shown::kTest ? "test" : "val"},
                   {"diverged", diverged},
                   {"cells", Json::array()}};
  for (const BenchmarkCell& cell : cells) {
    Json row = {{"run", cell.job.name},          {"method", cell.job.method},
                {"regime", cell.job.regime},     {"labels", cell.job.labels},
                {"images", cell.images},         {"seed", cell.job.seed},
                {"parameters", cell.parameters}, {"pretrain_steps", cell.pretrain_steps},
                {"steps", cell.steps},           {"best_step", cell.best_step},
                {"val_dice", cell.val_dice}};
    if (!cell.val.is_null()) row["val"] = cell.val["metrics"];
    if (!cell.test.is_null()) row["test"] = cell.test["metrics"];
    document["cells"].push_back(row);
  }
  document["means"] = means_json(options, cells, shown);
  document["agreement"] = agreement_json(options, cells, shown);
  document["comparisons"] = report::to_json(comparison_table(comparisons));
  return document;
}

// "Every model took 1000 steps" or what the shortest and the longest took.
std::string steps_text(const FigureData& data) {
  std::vector<std::int64_t> steps;
  for (const BenchmarkCell& cell : data.cells) {
    if (cell.job.regime == data.regime) steps.push_back(cell.steps);
  }
  if (steps.empty()) return {};
  const auto [least, most] = std::ranges::minmax(steps);
  if (least == most) return concat("Every model was fine-tuned for ", least, " optimiser steps.");
  return concat("Models were fine-tuned for ", least, " to ", most,
                " optimiser steps: differences between numbers of labels are also differences in steps.");
}

void add_tables(const FigureData& data, report::Page& page) {
  page.heading("Table I: methods");
  if (const std::string steps = steps_text(data); !steps.empty()) page.paragraph(steps);
  page.paragraph(
      "Mean over seeds with Student's 95 % interval, which needs two seeds and is wide for few; small figures below a "
      "number are the seeds, and lead to their runs. Undefined: images, counted over the seeds, that have no such "
      "value and are in no mean, as when nothing was segmented. Parameters: what pre-training trains; without it, "
      "the network.");
  for (const std::int64_t labels : data.options.labels) {
    const report::Table table = table_one(data.options, data.cells, data.regime, labels, data.shown);
    if (!table.rows().empty()) page.table(table, {.caption = labels_title(labels)});
  }
  page.table(dice_table(data.options, data.cells, data.regime, data.shown), {.caption = "Dice by number of labels"});
}

void add_published(report::Page& page) {
  page.subheading("Published");
  page.paragraph(kHowPublished);
  page.table(published_table_one(), {.caption = "Table I of the paper: 18 labels"});
  page.table(published_dice_table(), {.caption = "Fig. 3 of the paper: Dice by number of labels"});
}

void add_label_charts(const FigureData& data, report::Page& page) {
  const std::string images = data.shown == Shown::kTest ? "Test" : "Validation";
  const std::string dice = labels_chart(data, "dice", images + " Dice");
  if (dice.empty()) return;
  page.heading("Fig. 3: what labels are worth");
  page.paragraph(
      "Ours: means over seeds; bars are Student's 95 % intervals, where there are two seeds. Every number of labels "
      "starts from the same pre-training. Published: one run each, on other images; there the images for "
      "pre-training became fewer as the labelled ones became more (79:1 to 50:30).");
  page.svg(dice, "Ours");
  page.svg(published_labels_chart("dice", "Published Dice"), "From the paper's logs, FAME 2");
  const std::string hausdorff = labels_chart(data, "modified_hausdorff_px", images + " modified Hausdorff (px)");
  if (hausdorff.empty()) return;
  page.svg(hausdorff, "Ours");
  page.svg(published_labels_chart("modified_hausdorff_px", "Published modified Hausdorff (px)"),
           "From the paper's logs, FAME 2, pixels of a 256×256 grid");
}

void add_agreement(const FigureData& data, report::Page& page) {
  const report::Table table = agreement_table(data.options, data.cells, data.regime, data.shown);
  if (table.rows().empty()) return;
  page.heading("Fig. 4: mean diameters");
  const std::int64_t fewest = fewest_labels(data.options);
  add_diameter_plots(data, fewest, page);
  const bool has_all = std::ranges::find(data.options.labels, 0) != data.options.labels.end();
  if (has_all && fewest != 0) add_diameter_plots(data, 0, page);
  page.table(table, {.caption = "Segmented against true mean diameter of an image, first seed that has them; limits of "
                                "agreement: bias ± 1.96 sd of the differences",
                     .sortable = true});
  page.table(published_agreement_table(), {.caption = "Published, FAME 2: first the fewest labels, then the most"});
}

void add_comparisons(const BenchmarkOptions& options, const std::vector<Comparison>& comparisons, report::Page& page) {
  if (comparisons.empty()) return;
  page.heading("Differences from " + options.methods.front().name);
  page.paragraph(
      "Per-image Dice on the same images, averaged over seeds. Intervals and tests are over images; that other seeds "
      "would differ is shown by the intervals over seeds above. Holm: corrected for all rows of this table. Small "
      "figures are seeds and lead to the runs, below a method its own, below the number of seeds the baseline's.");
  page.table(comparison_table(comparisons), {.caption = "Paired differences", .sortable = true});
}

}  // namespace

Json write_benchmark_report(const BenchmarkOptions& options, const fs::path& out, const fs::path& store) {
  const std::vector<BenchmarkCell> cells = finished_cells(options, out);
  const Shown shown = shown_images(cells);
  const std::vector<Comparison> comparisons = comparisons_of(options, cells, shown);
  const std::vector<std::string> diverged = diverged_jobs(options, out);
  std::size_t planned = 0;
  for (const auto& regime : options.regimes) {
    planned += options.methods.size() * options.seeds.size() * regime.labels.size();
  }
  const auto tested =
      std::ranges::count_if(cells, [](const BenchmarkCell& cell) { return cell.has_evaluation(Shown::kTest); });
  report::Page page(
      {.title = "Pre-training methods compared",
       .subtitle = concat(cells.size(), " of ", planned, " models trained; figures are of ",
                          shown == Shown::kTest ? concat("test images, on which ", tested, " were measured")
                                                : "validation images, which also chose the step of every model"),
       .date = {}});
  if (!diverged.empty()) {
    std::string names;
    for (const std::string& name : diverged) names += (names.empty() ? "" : ", ") + name;
    page.paragraph("Diverged, the loss became infinite; such runs are in no table: " + names + ".");
  }
  for (const auto& regime : options.regimes) {
    if (!regime.name.empty()) page.heading("Regime " + regime.name);
    BenchmarkOptions confined = options;
    confined.labels = regime.labels;
    const FigureData data{confined, cells, regime.name, shown, out};
    add_tables(data, page);
    if (&regime == &options.regimes.front()) add_published(page);
    add_label_charts(data, page);
    add_agreement(data, page);
    if (!store.empty()) add_picture_figures(data, store, page);
  }
  add_comparisons(options, comparisons, page);
  page.heading("All runs");
  page.table(cell_table(cells), {.caption = "Folders below this page's", .sortable = true});
  write_file_atomic(out / "report.html", page.str());
  report::write_csv(out / "cells.csv", cell_file_table(cells));
  Json document = benchmark_json(options, cells, shown, comparisons, diverged);
  save_json(out / "benchmark.json", document);
  return document;
}

}  // namespace cmunet::cli
