// SPDX-License-Identifier: Apache-2.0
// The tables of a benchmark's page. Rows or numbers link to the folders of the runs they come from.
#pragma once

#include <string>
#include <vector>

#include "cmunet/cli/benchmark_cells.h"
#include "cmunet/report/table.h"

namespace cmunet::cli {

/// Table I of the paper at one number of labels: each method's measures, mean over seeds with Student's 95 % interval,
/// and the parameters that its pre-training trains.
report::Table table_one(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                        const std::string& regime, std::int64_t labels, Shown shown);

/// The same as published, with remarks.
report::Table published_table_one();

/// Dice of every method at every number of labels, as `table_one` writes it.
report::Table dice_table(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                         const std::string& regime, Shown shown);
report::Table published_dice_table();

/// Pearson's r with p, regression and limits of agreement of mean diameters, one row per method and number of labels,
/// each of the first seed that has an evaluation.
report::Table agreement_table(const BenchmarkOptions& options, const std::vector<BenchmarkCell>& cells,
                              const std::string& regime, Shown shown);
report::Table published_agreement_table();

/// Differences from the first method, see `Comparison`.
report::Table comparison_table(const std::vector<Comparison>& comparisons);

/// One row per model. Test measures are undefined until `--test`.
report::Table cell_table(const std::vector<BenchmarkCell>& cells);
/// The same for programs, what cells.csv holds: every measure on both splits with its interval over images and the
/// number of images that are in no mean.
report::Table cell_file_table(const std::vector<BenchmarkCell>& cells);

}  // namespace cmunet::cli
