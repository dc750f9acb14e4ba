// SPDX-License-Identifier: Apache-2.0
// What a benchmark's finished cells say together.
#pragma once

#include <filesystem>

#include "cmunet/base/json.h"
#include "cmunet/cli/benchmark_plan.h"

namespace cmunet::cli {

/// Gathers the finished cells below `out` and writes benchmark.json, cells.csv and report.html there: the paper's Table
/// I and Figs. 3 to 6 with what it published beside them. Figures are those of validation images, which chose the
/// models, until one of them has been evaluated on test images.
/// @param store  where the images for Figs. 5 and 6 are; empty leaves these out, which spares running the models
/// @return the content of benchmark.json
Json write_benchmark_report(const BenchmarkOptions& options, const std::filesystem::path& out,
                            const std::filesystem::path& store = {});

}  // namespace cmunet::cli
