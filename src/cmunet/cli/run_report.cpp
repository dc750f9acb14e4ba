// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/run_report.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/log.h"
#include "cmunet/report/training_report.h"
#ifdef CMUNET_IMAGING
#include "cmunet/codec/codec.h"
#include "cmunet/report/overlay.h"
#endif

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPictures = 4;  // the latest

std::string number(double value, const char* format) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::vector<report::Fact> facts_of(const std::vector<Json>& rows) {
  std::vector<report::Fact> facts;
  const Json& last = rows.back();
  const Json* best = nullptr;
  for (const Json& row : rows) {
    if (!row.contains("val_dice")) continue;
    if (best == nullptr || row["val_dice"].get<double>() > (*best)["val_dice"].get<double>()) best = &row;
  }
  if (best != nullptr) {
    facts.push_back({"Best Dice on validation", number((*best)["val_dice"].get<double>(), "%.4f"),
                     concat("at step ", (*best).value("step", 0))});
  }
  facts.push_back({"Step", concat(last.value("step", 0)), concat("epoch ", last.value("epoch", 0))});
  facts.push_back({"Loss", number(last.value("loss", 0.0), "%.4f"), "mean of the last period"});
  facts.push_back({"Speed", number(last.value("images_per_second", 0.0), "%.1f images/s"),
                   number(100 * last.value("data_share", 0.0), "%.1f %% of it for data")});
  facts.push_back({"Time", number(last.value("elapsed_s", 0.0) / 60, "%.1f min"), ""});
  return facts;
}

void add_pictures(const fs::path& folder, report::TrainingPage& page) {
#ifdef CMUNET_IMAGING
  if (!fs::is_directory(folder)) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".png") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (std::size_t i = files.size() - std::min(kPictures, files.size()); i < files.size(); ++i) {
    const image::ImageF grey = codec::read_image(files[i]).grey;
    page.pictures.push_back({files[i].stem().string(), report::to_rgb(report::to_grey8(grey))});
  }
#else
  static_cast<void>(folder), static_cast<void>(page);
#endif
}

}  // namespace

void write_run_report(const fs::path& run_dir, const std::string& title) {
  try {
    const fs::path metrics = run_dir / "metrics.jsonl";
    if (!fs::exists(metrics)) return;
    const std::vector<Json> rows = load_json_lines(metrics);
    if (rows.empty()) return;
    report::TrainingPage page;
    page.head = {title, run_dir.filename().string(), ""};
    page.facts = facts_of(rows);
    page.charts = report::training_charts(rows);
    add_pictures(run_dir / "pictures", page);
    write_file_atomic(run_dir / "report.html", report::training_html(page));
  } catch (const std::exception& e) {
    log_warning("[report] ", run_dir.string(), "/report.html was not written: ", e.what());
  }
}

}  // namespace cmunet::cli
