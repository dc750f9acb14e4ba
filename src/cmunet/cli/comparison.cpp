// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/comparison.h"

#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/stats/paired_tests.h"
#include "cmunet/stats/summary.h"

namespace cmunet::cli {
namespace {

void correct(std::vector<Comparison>& comparisons, double Comparison::*p, double Comparison::*adjusted) {
  std::vector<double> values;
  for (const Comparison& c : comparisons) values.push_back(std::isnan(c.*p) ? 1.0 : c.*p);
  const std::vector<double> corrected = stats::holm_adjust(values);
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    comparisons[i].*adjusted = std::isnan(comparisons[i].*p) ? comparisons[i].*p : corrected[i];
  }
}

}  // namespace

Comparison compare_cells(const ValuesBySeed& cell, const ValuesBySeed& baseline, std::uint64_t bootstrap_seed) {
  CMUNET_CHECK(!cell.empty() && cell.size() == baseline.size(), ErrorCode::kInvalidArgument, "[compare] ", cell.size(),
               " and ", baseline.size(), " seeds; expected as many");
  Comparison c;
  std::vector<double> a, b, differences;
  for (std::size_t image = 0; image < cell[0].size(); ++image) {
    double sum_a = 0, sum_b = 0;
    for (std::size_t seed = 0; seed < cell.size(); ++seed) {
      CMUNET_CHECK(cell[seed].size() == baseline[seed].size() && cell[seed].size() == cell[0].size(),
                   ErrorCode::kInvalidArgument, "[compare] the cells were evaluated on different images");
      sum_a += cell[seed][image], sum_b += baseline[seed][image];
    }
    if (std::isnan(sum_a) || std::isnan(sum_b)) {
      ++c.undefined;
      continue;
    }
    const auto seeds = static_cast<double>(cell.size());
    a.push_back(sum_a / seeds), b.push_back(sum_b / seeds);
    differences.push_back((sum_a - sum_b) / seeds);
  }
  c.images = static_cast<std::int64_t>(differences.size());
  c.seeds = static_cast<std::int64_t>(cell.size());
  c.difference = stats::mean(differences);
  const auto interval = stats::bootstrap_mean_interval(differences, bootstrap_seed);
  c.low = interval[0], c.high = interval[1];
  const stats::TestResult t = stats::paired_t_test(a, b);
  c.effect_size = t.statistic / std::sqrt(static_cast<double>(c.images));  // mean over sd, undefined without a spread
  c.p_t = t.p;
  c.p_wilcoxon = stats::wilcoxon_signed_rank_test(a, b).p;
  return c;
}

void correct_together(std::vector<Comparison>& comparisons) {
  correct(comparisons, &Comparison::p_t, &Comparison::p_t_holm);
  correct(comparisons, &Comparison::p_wilcoxon, &Comparison::p_wilcoxon_holm);
}

std::vector<report::Table::Column> statistics_columns(const std::string& metric) {
  return {{"difference in " + metric, 4},
          {"95 % low", 4},
          {"95 % high", 4},
          {"Cohen's d", 2},
          {.title = "p, paired t", .is_p_value = true},
          {.title = "p, paired t, Holm", .is_p_value = true},
          {.title = "p, Wilcoxon", .is_p_value = true},
          {.title = "p, Wilcoxon, Holm", .is_p_value = true},
          {"images"},
          {"undefined"}};
}

std::vector<report::Cell> statistics_cells(const Comparison& c) {
  return {c.difference,      c.low,    c.high,     c.effect_size, c.p_t, c.p_t_holm, c.p_wilcoxon,
          c.p_wilcoxon_holm, c.images, c.undefined};
}

}  // namespace cmunet::cli
