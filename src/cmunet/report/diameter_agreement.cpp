// SPDX-License-Identifier: Apache-2.0
#include "cmunet/report/diameter_agreement.h"

#include <algorithm>
#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/report/svg.h"
#include "cmunet/report/text.h"
#include "cmunet/stats/agreement.h"

namespace cmunet::report {
namespace {

// "y = 0.91 x + 0.20, r = 0.87, p < 0.001"
std::string regression_text(const stats::Line& line, double r, double p) {
  return concat("y = ", format_fixed(line.slope, 2), " x ", line.intercept < 0 ? "− " : "+ ",
                format_fixed(std::abs(line.intercept), 2), ", r = ", format_fixed(r, 2),
                p < 0.001 ? ", p < 0.001" : ", p = " + format_fixed(p, 3));
}

std::string title_of(const char* measure, const std::string& of) {
  return of.empty() ? measure : concat(measure, ": ", of);
}

}  // namespace

bool DiameterPairs::are_comparable() const {
  return ids.size() >= 3 && std::ranges::min(target_px) < std::ranges::max(target_px);
}

std::string diameter_scatter_plot(const DiameterPairs& pairs, const std::string& of) {
  const double r = stats::pearson(pairs.target_px, pairs.pred_px);
  const stats::Line line = stats::regression(pairs.target_px, pairs.pred_px);
  ScatterPlot plot;
  plot.title = title_of("Mean diameter", of);
  plot.x.label = "true (px)";
  plot.y.label = "predicted (px)";
  plot.x_values = pairs.target_px, plot.y_values = pairs.pred_px, plot.labels = pairs.ids;
  plot.regression = ScatterPlot::Line{line.slope, line.intercept};
  plot.regression_name = regression_text(line, r, stats::pearson_p_value(r, std::ssize(pairs.ids)));
  plot.identity_line = true;
  return scatter_plot(plot);
}

std::string diameter_bland_altman_plot(const DiameterPairs& pairs, const std::string& of) {
  const stats::Agreement agreement = stats::bland_altman(pairs.pred_px, pairs.target_px);
  BlandAltmanPlot plot;
  plot.title = title_of("Agreement (Bland–Altman)", of);
  plot.x.label = "mean of both (px)";
  plot.y.label = "predicted − true (px)";
  for (std::size_t i = 0; i < pairs.ids.size(); ++i) {
    plot.means.push_back((pairs.pred_px[i] + pairs.target_px[i]) / 2);
    plot.differences.push_back(pairs.pred_px[i] - pairs.target_px[i]);
  }
  plot.labels = pairs.ids;
  plot.bias = agreement.bias, plot.lower_limit = agreement.lower_limit, plot.upper_limit = agreement.upper_limit;
  return bland_altman_plot(plot);
}

}  // namespace cmunet::report
