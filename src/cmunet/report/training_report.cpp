// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/training_report.h"

#include <algorithm>
#include <limits>
#include <string_view>

namespace cmunet::report {
namespace {

double number_of(const Json& row, const std::string& key) {
  const auto found = row.find(key);
  const bool is_number = found != row.end() && found->is_number();
  return is_number ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

bool is_rising(std::span<const Json> rows, const std::string& key) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool rises = i == 0 ? number_of(rows[i], key) == number_of(rows[i], key)
                              : number_of(rows[i], key) > number_of(rows[i - 1], key);
    if (!rises) return false;
  }
  return true;
}

struct Family {
  std::string title;
  std::string y_label;
};

// The chart that a key belongs to; no title for keys that are not drawn.
Family family_of(const std::string& key) {
  for (const char* left_out : {"epoch", "step", "images_per_second", "data_share", "elapsed_s", "skipped_steps"}) {
    if (key == left_out) return {};
  }
  if (key == "lr") return {"Learning rate", "learning rate"};
  if (key.starts_with("loss")) return {"Training loss", "loss"};
  if (key == "val_dice") return {"Validation", "Dice"};
  if (key.starts_with("val_")) return {"Validation", "value"};
  if (key.ends_with("_sd")) return {"Spread of embeddings", "standard deviation"};
  if (key.ends_with("_rank") || key.ends_with("_ratio")) return {"Directions that embeddings use", "number"};
  std::string word = key.substr(key.rfind('_') == std::string::npos ? 0 : key.rfind('_') + 1);
  const std::string label = word;
  if (!word.empty() && word[0] >= 'a' && word[0] <= 'z') word[0] = static_cast<char>(word[0] - 'a' + 'A');
  return {word, label};
}

std::string readable(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

}  // namespace

std::vector<LineChart> training_charts(std::span<const Json> rows) {
  const std::string x_key = is_rising(rows, "epoch") ? "epoch" : "step";
  std::vector<std::string> keys;
  for (const Json& row : rows) {
    if (!row.is_object()) continue;
    for (const auto& [key, value] : row.items()) {
      const bool is_new = value.is_number() && std::find(keys.begin(), keys.end(), key) == keys.end();
      if (is_new && !family_of(key).title.empty()) keys.push_back(key);
    }
  }
  std::vector<LineChart> charts;
  for (const std::string& key : keys) {
    const Family family = family_of(key);
    auto chart =
        std::find_if(charts.begin(), charts.end(), [&](const LineChart& c) { return c.title == family.title; });
    if (chart == charts.end()) {
      LineChart fresh;
      fresh.title = family.title;
      fresh.x.label = x_key;
      fresh.y.label = family.y_label;
      chart = charts.insert(charts.end(), fresh);
    }
    Series series;
    series.name = readable(key);
    for (const Json& row : rows) {
      series.x.push_back(number_of(row, x_key));
      series.y.push_back(number_of(row, key));
    }
    chart->series.push_back(std::move(series));
  }
  return charts;
}

std::string training_html(const TrainingPage& page) {
  Page html(page.head);
  if (!page.facts.empty()) html.facts(page.facts);
  if (!page.charts.empty()) html.heading("Curves");
  for (const LineChart& chart : page.charts) html.svg(line_chart(chart));
  if (!page.pictures.empty()) html.heading("Pictures");
  for (const NamedPicture& picture : page.pictures) html.picture(picture.image, picture.caption);
  for (const NamedTable& named : page.tables) {
    html.heading(named.title);
    html.table(named.table);
  }
  return html.str();
}

}  // namespace cmunet::report
