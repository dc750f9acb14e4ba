// SPDX-License-Identifier: Apache-2.0
// `cmunet compare`: evaluations of the same images against the first one, image by image.
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "cmunet/base/version.h"
#include "cmunet/cli/command.h"
#include "cmunet/cli/comparison.h"
#include "cmunet/report/table.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::vector<std::string> evaluations;
  std::string metric = "dice";
};

struct Evaluated {
  std::map<std::string, double> values;  // by image
  Json data;                             // store and split; null when the file does not name them
};

Evaluated values_by_image(const std::string& path, const std::string& metric) {
  const fs::path file = fs::is_directory(path) ? fs::path(path) / "evaluation.json" : fs::path(path);
  if (!fs::exists(file)) {
    throw Error(ErrorCode::kNotFound, concat("[compare] ", path, " holds no evaluation.json"),
                concat("cmunet evaluate --model ", path, " --store STORE --split val --out FOLDER makes one"));
  }
  const Json document = load_json(file);
  Evaluated evaluated;
  const Json source = document.value("source", Json::object());
  if (source.contains("store_hash")) evaluated.data = {source["store_hash"], source.value("split", "")};
  for (const Json& image : json_get<Json>(document, "images", file.string())) {
    CMUNET_CHECK(image.contains(metric), ErrorCode::kInvalidArgument, "[compare] ", file.string(), " has no '", metric,
                 "' per image");
    const double value = image[metric].is_number() ? image[metric].get<double>() : std::nan("");
    evaluated.values[json_get<std::string>(image, "id", file.string())] = value;
  }
  CMUNET_CHECK(!evaluated.values.empty(), ErrorCode::kInvalidArgument, "[compare] ", file.string(), " has no images");
  return evaluated;
}

Comparison compare_files(const std::string& path, const std::string& base, const std::string& metric,
                         std::uint64_t seed) {
  const auto [b, base_data] = values_by_image(base, metric);
  const auto [a, data] = values_by_image(path, metric);
  CMUNET_CHECK(data.is_null() || base_data.is_null() || data == base_data, ErrorCode::kInvalidArgument, "[compare] ",
               path, " and ", base, " were evaluated on other stores or splits; expected the same images");
  std::vector<double> values, baseline;
  for (const auto& [id, value] : a) {
    const auto found = b.find(id);
    CMUNET_CHECK(found != b.end(), ErrorCode::kInvalidArgument, "[compare] ", base, " has no image '", id, "' of ",
                 path, "; expected evaluations of the same images");
    values.push_back(value), baseline.push_back(found->second);
  }
  CMUNET_CHECK(values.size() == b.size(), ErrorCode::kInvalidArgument, "[compare] ", path, " has ", values.size(),
               " images and ", base, " ", b.size(), "; expected evaluations of the same images");
  Comparison comparison = compare_cells({values}, {baseline}, seed);
  comparison.method = path;
  return comparison;
}

void run(const Flags& flags, const CommonOptions& common) {
  CMUNET_CHECK(flags.evaluations.size() >= 2, ErrorCode::kInvalidArgument,
               "[compare] there is one evaluation; expected two or more");
  std::vector<Comparison> rows;
  for (std::size_t i = 1; i < flags.evaluations.size(); ++i) {
    rows.push_back(compare_files(flags.evaluations[i], flags.evaluations[0], flags.metric, common.seed));
  }
  correct_together(rows);
  std::vector<report::Table::Column> columns = statistics_columns(flags.metric);
  columns.insert(columns.begin(), {"evaluation"});
  report::Table table(std::move(columns));
  for (const Comparison& c : rows) {
    std::vector<report::Cell> cells = statistics_cells(c);
    cells.insert(cells.begin(), c.method);
    table.add_row(std::move(cells));
  }
  const Json document = {{"disclaimer", kDisclaimer},
                         {"metric", flags.metric},
                         {"baseline", flags.evaluations[0]},
                         {"comparisons", report::to_json(table)}};
  print_result(common, document,
               concat(flags.metric, ", each minus ", flags.evaluations[0], "\n", report::to_text(table), kDisclaimer));
}

}  // namespace

void add_compare(CLI::App& app, const CommonOptions& common) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("evaluations", flags->evaluations,
                 "folders or evaluation.json files of cmunet evaluate; baseline first")
      ->required();
  app.add_option("--metric", flags->metric,
                 "dice, cl_dice, iou, modified_hausdorff_px, diameter_difference_px, breaks_per_100px or soft_cl_dice")
      ->check(CLI::IsMember({"dice", "cl_dice", "iou", "modified_hausdorff_px", "diameter_difference_px",
                             "breaks_per_100px", "soft_cl_dice"}))
      ->capture_default_str();
  app.callback([flags, &common] { run(*flags, common); });
}

}  // namespace cmunet::cli
