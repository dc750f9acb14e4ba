// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/evaluation_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/version.h"
#include "cmunet/report/diameter_agreement.h"
#include "cmunet/report/overlay.h"
#include "cmunet/report/svg.h"
#include "cmunet/report/text.h"

namespace cmunet::report {
namespace {

using metrics::Evaluation;
using metrics::ImageMetrics;
using metrics::ImageResult;
using metrics::Summary;

// A measure under its key in the JSON document and as people read it.
struct Measure {
  const char* key;
  const char* name;
  const char* better;  // an arrow
  int digits;
  double ImageMetrics::*value;
  Summary Evaluation::*summary;
};

constexpr std::array<Measure, 7> kMeasures{{
    {"dice", "Dice", "↑", 3, &ImageMetrics::dice, &Evaluation::dice},
    {"cl_dice", "clDice", "↑", 3, &ImageMetrics::cl_dice, &Evaluation::cl_dice},
    {"iou", "IoU", "↑", 3, &ImageMetrics::iou, &Evaluation::iou},
    {"modified_hausdorff_px", "modified Hausdorff (px)", "↓", 2, &ImageMetrics::modified_hausdorff_px,
     &Evaluation::modified_hausdorff_px},
    {"diameter_difference_px", "diameter difference (px)", "↓", 2, &ImageMetrics::diameter_difference_px,
     &Evaluation::diameter_difference_px},
    {"breaks_per_100px", "breaks per 100 px", "↓", 2, &ImageMetrics::breaks_per_100px, &Evaluation::breaks_per_100px},
    {"soft_cl_dice", "soft clDice", "↑", 3, &ImageMetrics::soft_cl_dice, &Evaluation::soft_cl_dice},
}};
constexpr std::size_t kPrimaryMeasures = 6;  // soft clDice serves comparison only

std::string interval(const Summary& summary, int digits) {
  return concat("[", format_fixed(summary.ci95[0], digits), ", ", format_fixed(summary.ci95[1], digits), "]");
}

std::vector<Fact> headline(const Evaluation& evaluation) {
  std::vector<Fact> facts;
  for (std::size_t m = 0; m < kPrimaryMeasures; ++m) {
    const Summary& summary = evaluation.*kMeasures[m].summary;
    facts.push_back({kMeasures[m].name, format_fixed(summary.mean, kMeasures[m].digits),
                     "95 % CI " + interval(summary, kMeasures[m].digits)});
  }
  return facts;
}

void add_distributions(Page& page, const Evaluation& evaluation) {
  page.heading("Distributions");
  page.paragraph(
      "Each dot is an image. Box: quartiles and median; diamond: mean; whiskers: furthest value within 1.5 "
      "interquartile ranges.");
  for (const Measure& measure : kMeasures) {
    DistributionPlot plot;
    plot.axis.label = measure.name;
    DistributionPlot::Group& group = plot.groups.emplace_back();
    for (const ImageResult& result : evaluation.images) {
      group.values.push_back(result.metrics.*measure.value);
      group.labels.push_back(result.id);
    }
    page.svg(distribution_plot(plot));
  }
}

DiameterPairs diameters_of(const Evaluation& evaluation) {
  DiameterPairs out;
  for (const ImageResult& result : evaluation.images) {
    const double pred = result.metrics.pred_diameter_px;
    const double target = result.metrics.target_diameter_px;
    if (!std::isfinite(pred) || !std::isfinite(target)) continue;
    out.pred_px.push_back(pred);
    out.target_px.push_back(target);
    out.ids.push_back(result.id);
  }
  return out;
}

void add_diameters(Page& page, const Evaluation& evaluation) {
  const DiameterPairs pairs = diameters_of(evaluation);
  if (!pairs.are_comparable()) return;
  page.heading("Vessel diameter");
  page.svg(diameter_scatter_plot(pairs, ""));
  page.svg(diameter_bland_altman_plot(pairs, ""));
}

void add_pictures(Page& page, const Evaluation& evaluation, std::span<const Example> examples, std::string_view title,
                  std::span<const std::size_t> picks) {
  bool has_title = false;
  for (const std::size_t pick : picks) {
    const ImageResult& result = evaluation.images[pick];
    const auto example =
        std::find_if(examples.begin(), examples.end(), [&](const Example& e) { return e.id == result.id; });
    if (example == examples.end()) continue;
    if (!has_title) page.subheading(title);
    has_title = true;
    page.picture(overlay_errors(example->image, example->pred, example->target),
                 concat(result.id, " · Dice ", format_fixed(result.metrics.dice, 3), " · clDice ",
                        format_fixed(result.metrics.cl_dice, 3)));
  }
}

void add_examples(Page& page, const Evaluation& evaluation, std::span<const Example> examples) {
  if (examples.empty()) return;
  page.heading("Examples");
  const std::array<ColourKey, 3> keys{{{kTruePositiveColour, "true positive: vessel in both"},
                                       {kFalsePositiveColour, "false positive: predicted only"},
                                       {kFalseNegativeColour, "false negative: missed"}}};
  page.colour_keys(keys);
  const Picks picks = pick_examples(evaluation);
  add_pictures(page, evaluation, examples, "Best Dice", picks.best);
  add_pictures(page, evaluation, examples, "Median Dice", picks.median);
  add_pictures(page, evaluation, examples, "Worst Dice", picks.worst);
}

Table readable_image_table(const Evaluation& evaluation) {
  std::vector<Table::Column> columns{{"image"}};
  for (std::size_t m = 0; m < kPrimaryMeasures; ++m) columns.push_back({kMeasures[m].name, kMeasures[m].digits});
  Table table(std::move(columns));
  for (const ImageResult& result : evaluation.images) {
    std::vector<Cell> row{result.id};
    for (std::size_t m = 0; m < kPrimaryMeasures; ++m) row.emplace_back(result.metrics.*kMeasures[m].value);
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<std::size_t> Picks::all() const {
  std::vector<std::size_t> indices = best;
  indices.insert(indices.end(), median.begin(), median.end());
  indices.insert(indices.end(), worst.begin(), worst.end());
  return indices;
}

Picks pick_examples(const Evaluation& evaluation) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < evaluation.images.size(); ++i) {
    if (std::isfinite(evaluation.images[i].metrics.dice)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return evaluation.images[a].metrics.dice > evaluation.images[b].metrics.dice;
  });
  const auto n = std::ssize(order);
  const std::ptrdiff_t each = std::clamp<std::ptrdiff_t>(n / 3, 1, 3);
  const std::ptrdiff_t best = std::min(each, n);
  const std::ptrdiff_t worst = std::min(each, n - best);
  const std::ptrdiff_t median = std::min(each, n - best - worst);
  Picks picks;
  picks.best.assign(order.begin(), order.begin() + best);
  picks.worst.assign(order.rbegin(), order.rbegin() + worst);
  const auto middle = order.begin() + (n - median) / 2;
  picks.median.assign(middle, middle + median);
  return picks;
}

Table summary_table(const Evaluation& evaluation) {
  Table table({{"measure"}, {"mean ± sd"}, {"95 % CI"}, {"n"}, {"undefined"}});
  for (std::size_t m = 0; m < kPrimaryMeasures; ++m) {
    const Measure& measure = kMeasures[m];
    const Summary& summary = evaluation.*measure.summary;
    table.add_row({concat(measure.name, " ", measure.better),
                   concat(format_fixed(summary.mean, measure.digits), " ± ", format_fixed(summary.sd, measure.digits)),
                   interval(summary, measure.digits), summary.n, summary.undefined});
  }
  return table;
}

Table comparison_table(const Evaluation& evaluation) {
  Table table({{"measure"}, {"value", 3}});
  table.add_row({"pooled Dice", evaluation.pooled_dice});
  table.add_row({"pooled IoU", evaluation.pooled_iou});
  table.add_row({"mean soft clDice", evaluation.soft_cl_dice.mean});
  return table;
}

Table image_table(const Evaluation& evaluation) {
  std::vector<Table::Column> columns{{"id"}};
  for (const Measure& measure : kMeasures) columns.push_back({measure.key, measure.digits});
  for (const char* key : {"pred_diameter_px", "target_diameter_px", "tp", "fp", "fn", "tn"}) columns.push_back({key});
  Table table(std::move(columns));
  for (const ImageResult& result : evaluation.images) {
    std::vector<Cell> row{result.id};
    for (const Measure& measure : kMeasures) row.emplace_back(result.metrics.*measure.value);
    row.emplace_back(result.metrics.pred_diameter_px);
    row.emplace_back(result.metrics.target_diameter_px);
    const metrics::Counts& counts = result.metrics.counts;
    for (const std::int64_t count : {counts.tp, counts.fp, counts.fn, counts.tn}) row.emplace_back(count);
    table.add_row(std::move(row));
  }
  return table;
}

std::string evaluation_text(const Evaluation& evaluation) {
  return concat(to_text(summary_table(evaluation)), "\n", to_text(comparison_table(evaluation)), "\n",
                evaluation.images.size(), " images. ", kDisclaimer, "\n");
}

Json evaluation_json(const Evaluation& evaluation, const Json& source) {
  Json document = metrics::to_json(evaluation);
  document["source"] = source;
  document["version"] = kVersion;
  document["disclaimer"] = kDisclaimer;
  return document;
}

std::string evaluation_html(const Evaluation& evaluation, std::span<const Example> examples,
                            const EvaluationPage& page) {
  Page html(page.head);
  html.facts(headline(evaluation));
  html.heading("Summary");
  html.paragraph(concat("Per-image means over ", evaluation.images.size(),
                        " images, with standard deviation and 95 % "
                        "confidence interval of the mean. ↑ higher is better, ↓ lower is better. A value is undefined "
                        "when a mask that it needs has no vessel; such images are counted, never averaged."));
  html.table(summary_table(evaluation));
  html.subheading("For comparison with published tables");
  html.paragraph(
      "The CM-UNet paper pools pixels over batches and uses the soft skeleton on binary masks: compare its "
      "Dice and IoU with the pooled values, its Cl-Dice with soft clDice.");
  html.table(comparison_table(evaluation));
  add_distributions(html, evaluation);
  add_diameters(html, evaluation);
  add_examples(html, evaluation, examples);
  html.heading("All images");
  html.table(readable_image_table(evaluation), {.caption = "", .sortable = true});
  if (page.source.is_object() && !page.source.empty()) {
    html.heading("What was evaluated");
    html.table(settings_table(page.source));
  }
  return html.str();
}

void write_evaluation(const std::filesystem::path& dir, const Evaluation& evaluation, std::span<const Example> examples,
                      const EvaluationPage& page) {
  const std::string html = evaluation_html(evaluation, examples, page);
  prepare_output_folder(dir, true);
  write_csv(dir / "evaluation.csv", image_table(evaluation));
  save_json(dir / "evaluation.json", evaluation_json(evaluation, page.source));
  write_file_atomic(dir / "report.html", html);
}

}  // namespace cmunet::report
