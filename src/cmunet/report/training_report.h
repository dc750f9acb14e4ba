// SPDX-License-Identifier: Apache-2.0
// The page of one training run.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/report/html.h"
#include "cmunet/report/svg.h"

namespace cmunet::report {

struct NamedTable {
  std::string title;
  Table table;
};

struct NamedPicture {
  std::string caption;
  image::ImageRgb image;
};

/// What a training run has to show; whatever is empty is left out.
struct TrainingPage {
  PageHead head;
  std::vector<Fact> facts;        ///< best validation Dice, epochs, time …
  std::vector<LineChart> charts;  ///< see `training_charts`
  std::vector<NamedTable> tables;
  std::vector<NamedPicture> pictures;
};

/// The charts of a run from the rows of its metrics.jsonl, over "epoch" where it rises in every row, else over "step".
/// Keys "loss…" share a chart, so do "val_…", and others by their last word ("positive_similarity", "negative_…");
/// "lr" has its own; timings are left out. null and absent values are gaps.
std::vector<LineChart> training_charts(std::span<const Json> rows);

/// One self-contained page, see html.h.
std::string training_html(const TrainingPage& page);

}  // namespace cmunet::report
