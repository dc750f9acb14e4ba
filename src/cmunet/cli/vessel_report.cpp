// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/vessel_report.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "cmunet/base/error.h"

namespace cmunet::cli {
namespace {

dicom::CalibrationMethod method_of(vessel::CalibrationSource source) {
  switch (source) {
    case vessel::CalibrationSource::kMagnification: return dicom::CalibrationMethod::kIsocentre;
    case vessel::CalibrationSource::kCatheter: return dicom::CalibrationMethod::kCatheter;
    case vessel::CalibrationSource::kPixelSpacing: return dicom::CalibrationMethod::kPixelSpacing;
    case vessel::CalibrationSource::kManual:
    case vessel::CalibrationSource::kNone: break;
  }
  return dicom::CalibrationMethod::kSpacingByUser;
}

dicom::ReferenceMethod method_of(vessel::Reference reference) {
  switch (reference) {
    case vessel::Reference::kComputed: return dicom::ReferenceMethod::kCurveFitted;
    case vessel::Reference::kInterpolated: return dicom::ReferenceMethod::kInterpolatedLocal;
    case vessel::Reference::kMeanLocal: break;
  }
  return dicom::ReferenceMethod::kMeanLocal;
}

// Of an interval with unequal sides the longer one, since a report has room for one number.
dicom::ReportedValue reported(const vessel::Interval& interval) {
  return {interval.value, std::max(interval.high - interval.value, interval.value - interval.low)};
}

// An interval or an estimate in pixels, in the report's unit.
dicom::ReportedValue reported_length(const auto& length_px, const vessel::Measurement& measurement) {
  return reported(in_unit(length_px, measurement.calibration));
}

dicom::ReportedLesion lesion_of(const vessel::Narrowing& narrowing, const vessel::MeasuredSegment& segment,
                                const vessel::Measurement& measurement) {
  const vessel::Stenosis& stenosis = narrowing.against_reference(measurement.reference);
  const double unit = measurement.calibration.mm_per_px.value_or(1.0);
  const auto first = segment.samples.begin() + static_cast<std::ptrdiff_t>(narrowing.first);
  const auto end = segment.samples.begin() + static_cast<std::ptrdiff_t>(narrowing.last) + 1;
  const auto widest = std::max_element(
      first, end, [](const vessel::Sample& a, const vessel::Sample& b) { return a.diameter_px < b.diameter_px; });
  // TID 3218 counts from the first contour points; cross-sections begin beyond the bifurcation.
  const double begin_px = segment.samples.front().arc_px;
  const auto arc = [&](const vessel::Sample& sample) { return unit * (sample.arc_px - begin_px); };
  return {.reference_method = method_of(measurement.reference),
          .minimal_diameter = reported_length(narrowing.minimal_px, measurement),
          .reference_diameter = reported_length(stenosis.reference_px, measurement),
          .diameter_stenosis_percent = reported(in_percent(stenosis.diameter_percent)),
          .area_stenosis_percent = reported(in_percent(stenosis.area_percent)),
          .length = reported_length(narrowing.length_px, measurement),
          .proximal_border = arc(segment.samples[narrowing.first]),
          .distal_border = arc(segment.samples[narrowing.last]),
          .site_of_minimum = arc(segment.samples[narrowing.sample]),
          .site_of_maximum = arc(*widest)};
}

// Does the vessel become clearly wider along its samples, with lesion and fading ends left out?
bool widens(const vessel::MeasuredSegment& segment) {
  constexpr double kClear = 1.1;  // times as wide in the last third as in the first
  std::vector<vessel::Sample> samples;
  const auto whole = vessel::whole_part(segment.samples, segment.excluded);
  for (const vessel::Sample& sample : whole) {
    const auto index = static_cast<std::size_t>(&sample - segment.samples.data());
    const bool is_narrowed = segment.narrowing && index >= segment.narrowing->first && index <= segment.narrowing->last;
    if (!is_narrowed) samples.push_back(sample);
  }
  const std::size_t third = samples.size() / 3;
  const std::span<const vessel::Sample> all(samples);
  return third > 0 &&
         vessel::mean_diameter(all.last(third)).value > kClear * vessel::mean_diameter(all.first(third)).value;
}

// The same vessel, walked the other way.
vessel::MeasuredSegment turned(vessel::MeasuredSegment segment) {
  const double ends_px = segment.samples.front().arc_px + segment.samples.back().arc_px;
  const std::size_t last = segment.samples.size() - 1;
  std::ranges::reverse(segment.centreline);
  std::ranges::reverse(segment.samples);
  for (vessel::Sample& sample : segment.samples) {
    std::swap(sample.left, sample.right);
    sample.arc_px = ends_px - sample.arc_px;
  }
  const auto turn = [last](vessel::Narrowing& narrowing) {
    narrowing.sample = last - narrowing.sample;
    std::tie(narrowing.first, narrowing.last) = std::pair(last - narrowing.last, last - narrowing.first);
  };
  if (segment.narrowing) turn(*segment.narrowing);
  std::ranges::for_each(segment.excluded, turn);
  std::swap(segment.start, segment.end);
  return segment;
}

dicom::ReportedSegment segment_of(const vessel::MeasuredSegment& segment, const vessel::Measurement& measurement) {
  dicom::ReportedSegment result;
  for (const vessel::Sample& sample : segment.samples) {
    result.left_contour.push_back(sample.left);
    result.right_contour.push_back(sample.right);
  }
  const auto whole = vessel::whole_part(segment.samples, segment.excluded);
  const auto [narrowest, widest] = std::ranges::minmax_element(whole, {}, &vessel::Sample::diameter_px);
  result.length = reported_length(segment.length_px, measurement);
  result.mean_diameter = reported_length(segment.mean_diameter_px, measurement);
  result.minimal_diameter = reported_length(vessel::Estimate{narrowest->diameter_px, narrowest->sd_px}, measurement);
  result.maximal_diameter = reported_length(vessel::Estimate{widest->diameter_px, widest->sd_px}, measurement);
  if (has_lesion(segment, measurement.reference)) result.lesion = lesion_of(*segment.narrowing, segment, measurement);
  return result;
}

}  // namespace

dicom::ArterialReport arterial_report(const vessel::Measurement& measurement, int frame, double catheter_french) {
  const vessel::Calibration& calibration = measurement.calibration;
  dicom::ArterialReport report;
  report.frame = frame;
  if (calibration.mm_per_px) {
    const double mm = *calibration.mm_per_px;
    report.calibration = {.method = method_of(calibration.source),
                          .mm_per_px = {mm * calibration.aspect, mm},
                          .relative_uncertainty = vessel::kTwoSided95 * calibration.relative_sd,
                          .catheter_french = catheter_french,
                          .note = calibration.note};
  }
  for (const vessel::MeasuredSegment& segment : measurement.segments) {
    if (segment.samples.size() < 2) continue;
    report.segments.push_back(segment_of(widens(segment) ? turned(segment) : segment, measurement));
  }
  return report;
}

}  // namespace cmunet::cli
