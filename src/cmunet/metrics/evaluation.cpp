// SPDX-License-Identifier: Apache-2.0
#include "cmunet/metrics/evaluation.h"

#include <cmath>

#include "cmunet/base/version.h"
#include "cmunet/stats/summary.h"

namespace cmunet::metrics {
namespace {

Summary summary_of(const std::vector<ImageResult>& images, double ImageMetrics::*field, std::uint64_t seed) {
  std::vector<double> values;
  Summary summary;
  for (const ImageResult& image : images) {
    const double value = image.metrics.*field;
    if (std::isnan(value)) {
      ++summary.undefined;
    } else {
      values.push_back(value);
    }
  }
  summary.n = static_cast<std::int64_t>(values.size());
  summary.mean = stats::mean(values);
  summary.sd = stats::standard_deviation(values);
  summary.ci95 = stats::bootstrap_mean_interval(values, seed);
  return summary;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const Summary& s) {
  return {{"mean", number(s.mean)},
          {"sd", number(s.sd)},
          {"ci95", {number(s.ci95[0]), number(s.ci95[1])}},
          {"n", s.n},
          {"undefined", s.undefined}};
}

Json to_json(const ImageResult& image) {
  const ImageMetrics& m = image.metrics;
  return {{"id", image.id},
          {"dice", number(m.dice)},
          {"cl_dice", number(m.cl_dice)},
          {"iou", number(m.iou)},
          {"modified_hausdorff_px", number(m.modified_hausdorff_px)},
          {"diameter_difference_px", number(m.diameter_difference_px)},
          {"breaks_per_100px", number(m.breaks_per_100px)},
          {"soft_cl_dice", number(m.soft_cl_dice)},
          {"pred_diameter_px", number(m.pred_diameter_px)},
          {"target_diameter_px", number(m.target_diameter_px)},
          {"tp", m.counts.tp},
          {"fp", m.counts.fp},
          {"fn", m.counts.fn},
          {"tn", m.counts.tn}};
}

}  // namespace

Evaluation summarise(std::vector<ImageResult> images, std::uint64_t seed) {
  CMUNET_CHECK(!images.empty(), ErrorCode::kInvalidArgument, "[evaluate] there is no image to summarise");
  Evaluation e;
  e.dice = summary_of(images, &ImageMetrics::dice, seed);
  e.cl_dice = summary_of(images, &ImageMetrics::cl_dice, seed);
  e.iou = summary_of(images, &ImageMetrics::iou, seed);
  e.modified_hausdorff_px = summary_of(images, &ImageMetrics::modified_hausdorff_px, seed);
  e.diameter_difference_px = summary_of(images, &ImageMetrics::diameter_difference_px, seed);
  e.breaks_per_100px = summary_of(images, &ImageMetrics::breaks_per_100px, seed);
  e.soft_cl_dice = summary_of(images, &ImageMetrics::soft_cl_dice, seed);
  Counts pooled;
  for (const ImageResult& image : images) pooled += image.metrics.counts;
  e.pooled_dice = dice(pooled);
  e.pooled_iou = iou(pooled);
  e.images = std::move(images);
  return e;
}

Json to_json(const Evaluation& e) {
  Json images = Json::array();
  for (const ImageResult& image : e.images) images.push_back(to_json(image));
  return {{"disclaimer", kDisclaimer},
          {"metrics",
           {{"dice", to_json(e.dice)},
            {"cl_dice", to_json(e.cl_dice)},
            {"iou", to_json(e.iou)},
            {"modified_hausdorff_px", to_json(e.modified_hausdorff_px)},
            {"diameter_difference_px", to_json(e.diameter_difference_px)},
            {"breaks_per_100px", to_json(e.breaks_per_100px)},
            {"soft_cl_dice", to_json(e.soft_cl_dice)}}},
          {"pooled", {{"dice", number(e.pooled_dice)}, {"iou", number(e.pooled_iou)}}},
          {"images", std::move(images)}};
}

}  // namespace cmunet::metrics
