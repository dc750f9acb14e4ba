// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/vessel_report.h"

#include <algorithm>

#include "cmunet/base/error.h"

namespace cmunet::cli {
namespace {

constexpr double kSdsOf95Percent = 1.96;

vessel::SpacingOrigin origin_of(dicom::SpacingCalibration calibration) {
  switch (calibration) {
    case dicom::SpacingCalibration::kGeometry: return vessel::SpacingOrigin::kGeometry;
    case dicom::SpacingCalibration::kFiducial: return vessel::SpacingOrigin::kFiducial;
    case dicom::SpacingCalibration::kUnspecified: break;
  }
  return vessel::SpacingOrigin::kUnknown;
}

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

// In millimetres when there are any, else in pixels.
dicom::ReportedValue length_of(const vessel::Estimate& length_px, const vessel::Calibration& calibration) {
  const vessel::Interval interval = vessel::in_mm(length_px, calibration).value_or(vessel::in_px(length_px));
  return {interval.value, (interval.high - interval.low) / 2};
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
  return {
      .reference_method = method_of(measurement.reference),
      .minimal_diameter = length_of(narrowing.minimal_px, measurement.calibration),
      .reference_diameter = length_of(stenosis.reference_px, measurement.calibration),
      .diameter_stenosis_percent = {stenosis.diameter_percent.value, kSdsOf95Percent * stenosis.diameter_percent.sd},
      .area_stenosis_percent = stenosis.area_percent,
      .length = unit * narrowing.length_px,
      .proximal_border = arc(segment.samples[narrowing.first]),
      .distal_border = arc(segment.samples[narrowing.last]),
      .site_of_minimum = arc(segment.samples[narrowing.sample]),
      .site_of_maximum = arc(*widest)};
}

// The cross-sections without those of a narrowing at an end, where contrast medium and segmentation fade out; all of
// them when there are no others.
std::span<const vessel::Sample> whole_part(const vessel::MeasuredSegment& segment) {
  std::size_t first = 0, end = segment.samples.size();
  for (const vessel::Narrowing& n : segment.excluded) {
    if (n.first == 0) first = std::max(first, n.last + 1);
    if (n.last + 1 == segment.samples.size()) end = std::min(end, n.first);
  }
  if (first >= end) return segment.samples;
  return std::span(segment.samples).subspan(first, end - first);
}

dicom::ReportedSegment segment_of(const vessel::MeasuredSegment& segment, const vessel::Measurement& measurement) {
  const double unit = measurement.calibration.mm_per_px.value_or(1.0);
  dicom::ReportedSegment reported;
  for (const vessel::Sample& sample : segment.samples) {
    reported.left_contour.push_back(sample.left);
    reported.right_contour.push_back(sample.right);
  }
  const vessel::Sample& narrowest = *std::ranges::min_element(whole_part(segment), {}, &vessel::Sample::diameter_px);
  const vessel::Sample& widest = *std::ranges::max_element(segment.samples, {}, &vessel::Sample::diameter_px);
  const auto diameter = [&](const vessel::Sample& sample) {
    return length_of({sample.diameter_px, sample.sd_px}, measurement.calibration);
  };
  reported.length = unit * segment.length_px;
  reported.mean_diameter = length_of(segment.mean_diameter_px, measurement.calibration);
  reported.minimal_diameter = diameter(narrowest);
  reported.maximal_diameter = diameter(widest);
  if (has_lesion(segment, measurement.reference)) reported.lesion = lesion_of(*segment.narrowing, segment, measurement);
  return reported;
}

}  // namespace

vessel::AcquisitionGeometry geometry_of(const dicom::Geometry& geometry, double pixel_aspect_ratio) {
  return {.pixel_spacing_mm = geometry.pixel_spacing_mm,
          .pixel_spacing_origin = origin_of(geometry.calibration),
          .imager_pixel_spacing_mm = geometry.imager_pixel_spacing_mm,
          .object_pixel_spacing_mm = geometry.object_pixel_spacing_mm,
          .beam_angle_deg = geometry.beam_angle_deg,
          .magnification = geometry.magnification,
          .source_detector_mm = geometry.source_detector_mm,
          .source_patient_mm = geometry.source_patient_mm,
          .source_isocentre_mm = geometry.source_isocentre_mm,
          .pixel_aspect = pixel_aspect_ratio};
}

vessel::Calibration calibration_of(const dicom::Geometry& geometry, double pixel_aspect_ratio) {
  return vessel::calibrate_by_geometry(geometry_of(geometry, pixel_aspect_ratio));
}

dicom::ArterialReport arterial_report(const vessel::Measurement& measurement, int frame, double catheter_french) {
  const vessel::Calibration& calibration = measurement.calibration;
  dicom::ArterialReport report;
  report.frame = frame;
  if (calibration.mm_per_px) {
    const double mm = *calibration.mm_per_px;
    report.calibration = {.method = method_of(calibration.source),
                          .mm_per_px = {mm * calibration.aspect, mm},
                          .relative_uncertainty = kSdsOf95Percent * calibration.relative_sd,
                          .catheter_french = catheter_french,
                          .note = calibration.note};
  }
  for (const vessel::MeasuredSegment& segment : measurement.segments) {
    if (segment.samples.size() >= 2) report.segments.push_back(segment_of(segment, measurement));
  }
  return report;
}

}  // namespace cmunet::cli
