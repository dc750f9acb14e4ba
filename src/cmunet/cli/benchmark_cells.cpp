// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/benchmark_cells.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "cmunet/base/error.h"
#include "cmunet/base/model_file.h"
#include "cmunet/stats/summary.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// "finetune/mae-labels18-seed42" with another first part.
std::string sibling(const std::string& name, const char* part) { return part + name.substr(name.find('/')); }

Json load_if_there(const fs::path& path) { return fs::exists(path) ? load_json(path) : Json(); }

// What pre-training trained, as its record lists it; else the parameters of the model itself.
double count_parameters(const Job& job, const fs::path& out) {
  const Json record = job.needs.empty() ? Json() : load_if_there(out / job.needs / "run.json");
  if (record.is_object() && record.contains("modules")) {
    double sum = 0;
    for (const Json& module : record["modules"]) sum += module.value("trainable", 0.0);
    return sum;
  }
  try {
    double sum = 0;
    const SafetensorsFile file = SafetensorsFile::open(find_model_file(out / job.name));
    for (const TensorRef& tensor : file.tensors()) {
      const bool is_buffer =
          tensor.name.find("running_") != std::string::npos || tensor.name.ends_with("num_batches_tracked");
      if (!is_buffer) sum += static_cast<double>(tensor.element_count());
    }
    return sum;
  } catch (const Error&) {
    return kNaN;  // a folder that was moved without its weights still has its numbers
  }
}

// Dice of each image, in the order of `ids`. @throws Error kCorrupt when the evaluation has other images.
std::vector<double> image_dice(const BenchmarkCell& cell, Shown shown, const std::vector<std::string>& ids) {
  std::map<std::string, double> by_id;
  for (const Json& image : cell.evaluation(shown)["images"]) {
    by_id[image["id"].get<std::string>()] = number_or_nan(image["dice"]);
  }
  std::vector<double> values;
  for (const std::string& id : ids) {
    const auto found = by_id.find(id);
    CMUNET_CHECK(found != by_id.end() && by_id.size() == ids.size(), ErrorCode::kCorrupt, "[benchmark] ",
                 cell.folder(shown), " was evaluated on other images than the runs beside it");
    values.push_back(found->second);
  }
  return values;
}

std::vector<std::string> image_ids(const BenchmarkCell& cell, Shown shown) {
  std::vector<std::string> ids;
  for (const Json& image : cell.evaluation(shown)["images"]) ids.push_back(image["id"].get<std::string>());
  return ids;
}

}  // namespace

double number_or_nan(const Json& value) { return value.is_number() ? value.get<double>() : kNaN; }

std::int64_t fewest_labels(const BenchmarkOptions& options) {
  return std::ranges::min(options.labels, {},
                          [](std::int64_t n) { return n == 0 ? std::numeric_limits<std::int64_t>::max() : n; });
}

std::string labels_title(std::int64_t labels) { return labels == 0 ? "all labels" : concat(labels, " labels"); }

std::string BenchmarkCell::folder(Shown shown) const {
  if (evaluation(shown).is_null()) return job.name;
  return sibling(job.name, shown == Shown::kTest ? "test" : "val");
}

Json BenchmarkCell::summary(Shown shown, const std::string& key) const {
  const Json& document = evaluation(shown);
  const bool is_there = document.is_object() && document["metrics"].contains(key);
  return is_there ? document["metrics"][key] : Json::object();
}

double BenchmarkCell::metric(Shown shown, const std::string& key) const {
  const Json of_images = summary(shown, key);
  if (!of_images.empty()) return number_or_nan(of_images["mean"]);
  return shown == Shown::kValidation && key == "dice" ? val_dice : kNaN;
}

std::vector<BenchmarkCell> finished_cells(const BenchmarkOptions& options, const fs::path& out) {
  std::vector<BenchmarkCell> cells;
  for (const Job& job : plan_benchmark(options, false)) {
    if (job.kind != JobKind::kFinetune || !is_done(job, out)) continue;
    const Json record = load_json(out / job.name / "run.json");
    BenchmarkCell& cell = cells.emplace_back();
    cell.job = job;
    cell.images = record.value("images", std::int64_t{0});
    cell.steps = record.value("steps", std::int64_t{0});
    cell.best_step = record.value("best_step", std::int64_t{0});
    if (!job.needs.empty()) {
      cell.pretrain_steps = load_json(out / job.needs / "run.json").value("steps", std::int64_t{0});
    }
    cell.val_dice = number_or_nan(record.value("best_val_dice", Json()));
    cell.parameters = count_parameters(job, out);
    cell.val = load_if_there(out / sibling(job.name, "val") / "evaluation.json");
    cell.test = load_if_there(out / sibling(job.name, "test") / "evaluation.json");
  }
  return cells;
}

SeedMean mean_over_seeds(const std::vector<const BenchmarkCell*>& cells, Shown shown, const std::string& key) {
  SeedMean result;
  std::vector<double> values;
  for (const BenchmarkCell* cell : cells) {
    result.undefined += cell->summary(shown, key).value("undefined", std::int64_t{0});
    const double value = cell->metric(shown, key);
    if (std::isnan(value)) continue;
    values.push_back(value);
    result.cells.push_back(cell);
  }
  result.mean = stats::mean(values);
  const auto interval = stats::student_mean_interval(values);
  result.low = interval[0], result.high = interval[1];
  return result;
}

std::vector<std::string> diverged_jobs(const BenchmarkOptions& options, const fs::path& out) {
  std::vector<std::string> names;
  for (const Job& job : plan_benchmark(options, false)) {
    if (has_diverged(job, out)) names.push_back(job.name);
  }
  return names;
}

Shown shown_images(const std::vector<BenchmarkCell>& cells) {
  const bool tested = std::ranges::any_of(cells, [](const BenchmarkCell& cell) { return !cell.test.is_null(); });
  return tested ? Shown::kTest : Shown::kValidation;
}

std::vector<const BenchmarkCell*> cells_of(const std::vector<BenchmarkCell>& cells, const std::string& regime,
                                           const std::string& method, std::int64_t labels) {
  std::vector<const BenchmarkCell*> found;
  for (const BenchmarkCell& cell : cells) {
    if (cell.job.regime == regime && cell.job.method == method && cell.job.labels == labels) found.push_back(&cell);
  }
  return found;
}

std::vector<Comparison> comparisons_of(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                                       Shown shown) {
  std::vector<Comparison> result;
  std::vector<std::string> ids;
  for (const auto& regime : options.regimes) {
    for (const std::int64_t labels : options.labels) {
      const auto baseline = cells_of(cells, regime.name, options.methods.front().name, labels);
      for (const auto& method : options.methods) {
        if (method.name == options.methods.front().name) continue;
        ValuesBySeed values, base_values;
        std::vector<report::Link> runs, base_runs;
        for (const BenchmarkCell* cell : cells_of(cells, regime.name, method.name, labels)) {
          for (const BenchmarkCell* base : baseline) {
            if (base->job.seed != cell->job.seed) continue;
            if (!base->has_evaluation(shown) || !cell->has_evaluation(shown)) continue;
            if (ids.empty()) ids = image_ids(*base, shown);
            values.push_back(image_dice(*cell, shown, ids));
            base_values.push_back(image_dice(*base, shown, ids));
            runs.push_back({concat(cell->job.seed), cell->folder(shown) + "/"});
            base_runs.push_back({concat(base->job.seed), base->folder(shown) + "/"});
          }
        }
        if (values.empty()) continue;
        Comparison& c = result.emplace_back(compare_cells(values, base_values));
        c.regime = regime.name, c.method = method.name, c.labels = labels;
        c.runs = std::move(runs), c.baseline_runs = std::move(base_runs);
      }
    }
  }
  correct_together(result);
  return result;
}

CellDiameters diameters_of(const Json& evaluation) {
  CellDiameters diameters;
  report::DiameterPairs& pairs = diameters.pairs;
  if (!evaluation.is_object()) return diameters;
  for (const Json& image : evaluation["images"]) {
    const double pred = number_or_nan(image.value("pred_diameter_px", Json()));
    const double target = number_or_nan(image.value("target_diameter_px", Json()));
    if (std::isnan(pred) || std::isnan(target)) {
      ++diameters.undefined;
      continue;
    }
    pairs.pred_px.push_back(pred), pairs.target_px.push_back(target);
    pairs.ids.push_back(image["id"].get<std::string>());
  }
  return diameters;
}

}  // namespace cmunet::cli
