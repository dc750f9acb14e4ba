// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/tune_plan.h"

#include <limits>

#include "cmunet/base/error.h"
#include "cmunet/stats/summary.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

TuneOptions read_tune_options(const Json& config, const std::string& origin) {
  const Json section = config.value("tune", Json::object());
  CMUNET_CHECK(section.is_object(), ErrorCode::kInvalidArgument, "[", origin, "] tune must be a section");
  TuneOptions options;
  Json grid = Json::object();
  for (const auto& [key, value] : section.items()) {
    if (key == "folds") {
      CMUNET_CHECK(value.is_number_integer() && value.get<std::int64_t>() >= 2 && value.get<std::int64_t>() <= 1000,
                   ErrorCode::kInvalidArgument, "[", origin, "] tune.folds is ", value.dump(), "; expected 2 or more");
      options.folds = value.get<int>();
      continue;
    }
    CMUNET_CHECK(value.is_array() && !value.empty(), ErrorCode::kInvalidArgument, "[", origin, "] tune.", key, " is ",
                 value.dump(), "; expected a list of values of finetune.", key);
    grid[key] = value;
  }
  // Challier et al., IV.B: learning rates by decades, two batch sizes.
  if (grid.empty()) grid = {{"lr", {1e-1, 1e-2, 1e-3, 1e-4, 1e-5}}, {"batch_size", {16, 32}}};
  for (const auto& [key, values] : grid.items()) {
    options.grid.emplace_back(key, std::vector<Json>(values.begin(), values.end()));
  }
  return options;
}

std::string Setting::name() const {
  std::string text;
  for (const auto& [key, value] : values) text += concat(text.empty() ? "" : ",", key, "=", text_of(value));
  return text;
}

std::vector<std::string> Setting::assignments() const {
  std::vector<std::string> words;
  for (const auto& [key, value] : values) words.push_back(concat("finetune.", key, "=", text_of(value)));
  return words;
}

std::vector<Setting> settings_of(const TuneOptions& options) {
  std::vector<Setting> settings(1);
  for (const auto& [key, values] : options.grid) {
    std::vector<Setting> longer;
    for (const Setting& setting : settings) {
      for (const Json& value : values) {
        longer.push_back(setting);
        longer.back().values.emplace_back(key, value);
      }
    }
    settings = std::move(longer);
  }
  return settings;
}

std::optional<FoldCurve> read_fold(const fs::path& run) {
  if (!fs::exists(run / "run.json")) return std::nullopt;
  const std::string exit = json_get<std::string>(load_json(run / "run.json"), "exit", (run / "run.json").string());
  FoldCurve curve;
  curve.diverged = exit.starts_with("diverged");
  if (!curve.diverged && exit != "finished") return std::nullopt;
  if (curve.diverged) return curve;
  const std::string origin = (run / "metrics.jsonl").string();
  for (const Json& row : load_json_lines(run / "metrics.jsonl")) {
    if (!row.contains("val_dice")) continue;
    curve.steps.push_back(json_get<std::int64_t>(row, "step", origin));
    curve.dice.push_back(json_get<double>(row, "val_dice", origin));
  }
  CMUNET_CHECK(!curve.steps.empty(), ErrorCode::kCorrupt, "[", origin, "] holds no validation");
  return curve;
}

Score score_of(const std::vector<std::optional<FoldCurve>>& folds) {
  Score score;
  for (const auto& fold : folds) {
    if (!fold) continue;
    ++score.folds_done;
    score.diverged = score.diverged || fold->diverged;
  }
  if (score.diverged || score.folds_done < static_cast<std::int64_t>(folds.size())) return score;
  score.dice = -1;
  for (std::size_t i = 0; i < folds[0]->steps.size(); ++i) {
    std::vector<double> dice;
    for (const auto& fold : folds) {
      CMUNET_CHECK(fold->steps == folds[0]->steps, ErrorCode::kCorrupt,
                   "[tune] folds were validated at different steps; expected runs of the same settings");
      dice.push_back(fold->dice[i]);
    }
    const double mean = stats::mean(dice);
    if (mean > score.dice) score = {score.folds_done, false, folds[0]->steps[i], mean, stats::standard_deviation(dice)};
  }
  return score;
}

std::optional<std::size_t> best_of(const std::vector<Score>& scores, int folds) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].diverged) continue;
    if (scores[i].folds_done < folds) return std::nullopt;
    if (!best || scores[i].dice > scores[*best].dice) best = i;
  }
  return best;
}

report::Table score_table(const std::vector<Setting>& settings, const std::vector<Score>& scores) {
  std::vector<report::Table::Column> columns;
  for (const auto& [key, value] : settings.front().values) columns.push_back({key, 0});
  columns.insert(columns.end(), {{"Dice", 4}, {"sd over folds", 4}, {"steps", 0}, {"folds", 0}, {"note", 0}});
  report::Table table(columns);
  for (std::size_t i = 0; i < settings.size(); ++i) {
    std::vector<report::Cell> row;
    for (const auto& [key, value] : settings[i].values) row.emplace_back(text_of(value));
    const Score& score = scores[i];
    const double none = std::numeric_limits<double>::quiet_NaN();
    row.emplace_back(score.step > 0 ? score.dice : none);
    row.emplace_back(score.step > 0 ? score.sd : none);
    row.emplace_back(score.step > 0 ? report::Cell(score.step) : report::Cell(std::string()));
    row.emplace_back(score.folds_done);
    row.emplace_back(std::string(score.diverged ? "diverged" : ""));
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace cmunet::cli
