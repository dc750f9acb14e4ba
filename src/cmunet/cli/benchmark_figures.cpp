// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_figures.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cmunet/base/error.h"
#include "cmunet/cli/published_results.h"
#include "cmunet/report/diameter_agreement.h"
#include "cmunet/report/svg.h"

namespace cmunet::cli {
namespace {

// A chart over numbers of labels: each of them is a tick, and no line touches the frame.
report::LineChart labels_axes(const std::string& title, const std::string& measure, std::vector<double> labels) {
  report::LineChart chart;
  chart.title = title;
  chart.y.label = measure;
  chart.x.label = "labelled images";
  chart.x.log = true;
  std::ranges::sort(labels);
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  if (!labels.empty()) chart.x.min = labels.front() / 1.3, chart.x.max = labels.back() * 1.3;
  chart.x.ticks = std::move(labels);
  chart.intervals = report::IntervalStyle::kWhisker;
  return chart;
}

report::Series series_of(const FigureData& data, const std::string& method, const std::string& key) {
  // "All labels" may be as many images as another number of labels asks for: a point of its own all the same, since
  // runs of both are no seeds of one setting.
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<const BenchmarkCell*>> by_images;
  for (const BenchmarkCell& cell : data.cells) {
    if (cell.job.regime == data.regime && cell.job.method == method) {
      by_images[{cell.images, cell.job.labels}].push_back(&cell);
    }
  }
  report::Series series;
  series.name = method;
  for (const auto& [setting, seeds] : by_images) {
    const SeedMean m = mean_over_seeds(seeds, data.shown, key);
    if (m.cells.empty()) continue;
    series.x.push_back(static_cast<double>(setting.first));
    series.y.push_back(m.mean);
    series.lower.push_back(m.cells.size() < 2 ? m.mean : m.low);
    series.upper.push_back(m.cells.size() < 2 ? m.mean : m.high);
  }
  return series;
}

}  // namespace

std::string highlighted_method(const BenchmarkOptions& options) {
  const auto found = std::ranges::find(options.methods, "cm_unet", &BenchmarkOptions::Named::name);
  return found != options.methods.end() ? found->name : options.methods.back().name;
}

std::string labels_chart(const FigureData& data, const std::string& key, const std::string& title) {
  std::vector<report::Series> all;
  std::vector<double> labels;
  bool has_values = false;
  for (const auto& method : data.options.methods) {
    // A method without values keeps its place, so that its colour is the same in every chart.
    const report::Series& series = all.emplace_back(series_of(data, method.name, key));
    labels.insert(labels.end(), series.x.begin(), series.x.end());
    has_values = has_values || !series.x.empty();
  }
  if (!has_values) return {};
  report::LineChart chart = labels_axes(title, title.substr(title.find(' ') + 1), std::move(labels));
  chart.series = std::move(all);
  return report::line_chart(chart);
}

std::string published_labels_chart(const std::string& key, const std::string& title) {
  report::LineChart chart =
      labels_axes(title, title.substr(title.find(' ') + 1), {kPublishedLabels.begin(), kPublishedLabels.end()});
  for (const PublishedMethod& method : published_methods()) {
    report::Series& series = chart.series.emplace_back();
    series.name = method.name;
    series.x.assign(kPublishedLabels.begin(), kPublishedLabels.end());
    const auto& values = key == "dice" ? method.dice : method.modified_hausdorff_px;
    series.y.assign(values.begin(), values.end());
  }
  return report::line_chart(chart);
}

void add_diameter_plots(const FigureData& data, std::int64_t labels, report::Page& page) {
  const std::string method = highlighted_method(data.options);
  for (const BenchmarkCell* cell : cells_of(data.cells, data.regime, method, labels)) {
    const report::DiameterPairs pairs = diameters_of(cell->evaluation(data.shown)).pairs;
    if (!pairs.are_comparable()) continue;
    const std::string of = concat(method, ", ", labels_title(labels), ", seed ", cell->job.seed);
    page.svg(report::diameter_scatter_plot(pairs, of));
    page.svg(report::diameter_bland_altman_plot(pairs, of));
    return;
  }
}

}  // namespace cmunet::cli
