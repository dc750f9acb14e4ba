// SPDX-License-Identifier: Apache-2.0
// The figures of a benchmark's page, after Figs. 3 to 6 of the paper.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/cli/benchmark_cells.h"
#include "cmunet/report/html.h"

namespace cmunet::cli {

/// What the figures are drawn from.
struct FigureData {
  const BenchmarkOptions& options;
  const std::vector<BenchmarkCell>& cells;
  std::string regime;
  Shown shown = Shown::kValidation;
  std::filesystem::path out;  ///< the benchmark's folder
};

/// The method that Figs. 4 and 5 are about: cm_unet where it takes part, else the last one.
std::string highlighted_method(const BenchmarkOptions& options);

/// Fig. 3: a measure over the number of labelled images, one line per method with Student's 95 % interval over its
/// seeds; "" without values. @param key  "dice" or another of an evaluation
std::string labels_chart(const FigureData& data, const std::string& key, const std::string& title);
/// The same as published; only Dice and the modified Hausdorff distance are.
std::string published_labels_chart(const std::string& key, const std::string& title);

/// Fig. 4: regression and Bland–Altman plot of the highlighted method's mean diameters at one number of labels.
/// Nothing is added when fewer than three images have them.
void add_diameter_plots(const FigureData& data, std::int64_t labels, report::Page& page);

/// Figs. 5 and 6: segmentations by number of labels and by method, beside what pre-training rebuilt. Runs the models of
/// the first seed on three images of the store: those at 90, 50 and 10 % of the order by Dice, averaged over all cells,
/// so that they flatter no method. Nothing is added before a cell has an evaluation.
/// @throws Error as reading the store and the models does.
void add_picture_figures(const FigureData& data, const std::filesystem::path& store, report::Page& page);

}  // namespace cmunet::cli
