// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/structured_report.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/dicom/writing.h"

namespace cmunet::dicom {
namespace {

constexpr ObjectKind kKind{UID_ComprehensiveSRStorage, "SR", 9002, "Vessel measurement, not for clinical use"};
// This program as an observer, the same on every machine.
constexpr const char* kObserverUid = "2.25.188664039971822796521263707910352999260";

constexpr Code kReport{"122291", "DCM", "Quantitative Arteriography Report"};
constexpr Code kLanguage{"121049", "DCM", "Language of Content Item and Descendants"};
constexpr Code kEnglish{"en", "RFC5646", "English"};
constexpr Code kObserverType{"121005", "DCM", "Observer Type"};
constexpr Code kDevice{"121007", "DCM", "Device"};
constexpr Code kDeviceUid{"121012", "DCM", "Device Observer UID"};
constexpr Code kDeviceName{"121013", "DCM", "Device Observer Name"};
constexpr Code kAlgorithmName{"111001", "DCM", "Algorithm Name"};
constexpr Code kAlgorithmVersion{"111003", "DCM", "Algorithm Version"};
constexpr Code kAlgorithmManufacturer{"122405", "DCM", "Algorithm Manufacturer"};
constexpr Code kComment{"121106", "DCM", "Comment"};
constexpr Code kFindings{"121070", "DCM", "Findings"};
constexpr Code kFindingSite{"363698007", "SCT", "Finding Site"};
constexpr Code kCoronaryArtery{"41801008", "SCT", "Coronary Artery"};
constexpr Code kSourceOfMeasurement{"121112", "DCM", "Source of Measurement"};
constexpr Code kCalibration{"122505", "DCM", "Calibration"};
constexpr Code kCalibrationMethod{"122422", "DCM", "Calibration Method"};
constexpr Code kCalibrationObject{"122421", "DCM", "Calibration Object"};
constexpr Code kCalibrationObjectSize{"122423", "DCM", "Calibration Object Size"};
constexpr Code kCatheter{"19923001", "SCT", "Catheter"};
constexpr Code kHorizontalSpacing{"111026", "DCM", "Horizontal Pixel Spacing"};
constexpr Code kVerticalSpacing{"111066", "DCM", "Vertical Pixel Spacing"};
constexpr Code kLeftContour{"122507", "DCM", "Left Contour"};
constexpr Code kRightContour{"122508", "DCM", "Right Contour"};
constexpr Code kSegmentLength{"122510", "DCM", "Length Luminal Segment"};
constexpr Code kLumenDiameter{"397413000", "SCT", "Vessel lumen diameter"};
constexpr Code kDerivation{"121401", "DCM", "Derivation"};
constexpr Code kMinimum{"255605001", "SCT", "Minimum"};
constexpr Code kMaximum{"56851009", "SCT", "Maximum"};
constexpr Code kMean{"373098007", "SCT", "Mean"};
constexpr Code kReferenceMethod{"122430", "DCM", "Reference Method"};
constexpr Code kDiameterStenosis{"408715008", "SCT", "Lumen Diameter Stenosis"};
constexpr Code kAreaStenosis{"408714007", "SCT", "Lumen Area Stenosis"};
constexpr Code kLesionLength{"408716009", "SCT", "Stenotic Lesion Length"};
constexpr Code kProximalBorder{"122528", "DCM", "Position of Proximal Border"};
constexpr Code kDistalBorder{"122529", "DCM", "Position of Distal Border"};
constexpr Code kSiteOfMinimum{"122382", "DCM", "Site of Lumen Minimum"};
constexpr Code kSiteOfMaximum{"122516", "DCM", "Site of Maximum Luminal"};
constexpr Code kUncertainty{"371884006", "SCT", "+/-, range of measurement uncertainty"};

constexpr Code kMillimetre{"mm", "UCUM", "mm"};
constexpr Code kPixels{"{pixels}", "UCUM", "pixels"};
constexpr Code kPercent{"%", "UCUM", "percent"};
constexpr Code kMillimetrePerPixel{"mm/{pixel}", "UCUM", "mm/pixel"};
constexpr Code kFrench{"[Ch]", "UCUM", "french"};

Code code_of(CalibrationMethod method) {
  switch (method) {
    case CalibrationMethod::kIsocentre: return {"122486", "DCM", "Geometric Isocenter"};
    case CalibrationMethod::kCatheter: return {"122488", "DCM", "Calibration Object Used"};
    case CalibrationMethod::kPixelSpacing: return {"pixel_spacing", "99CMUNET", "Pixel Spacing of the image"};
    case CalibrationMethod::kSpacingByUser: break;
  }
  return {"given_spacing", "99CMUNET", "Spacing given by the user"};
}

Code code_of(ReferenceMethod method) {
  switch (method) {
    case ReferenceMethod::kCurveFitted: return {"122489", "DCM", "Curve Fitted Reference"};
    case ReferenceMethod::kInterpolatedLocal: return {"122490", "DCM", "Interpolated Local Reference"};
    case ReferenceMethod::kMeanLocal: break;
  }
  return {"122491", "DCM", "Mean Local Reference"};
}

// A new child of a content item; `how` is its relationship to it.
DcmItem& add_content(DcmItem& parent, const char* how, const char* value_type, const Code& name) {
  DcmItem& content = add_item(parent, DCM_ContentSequence);
  put(content, DCM_RelationshipType, std::string(how));
  put(content, DCM_ValueType, std::string(value_type));
  put_code(content, DCM_ConceptNameCodeSequence, name);
  return content;
}

DcmItem& add_container(DcmItem& parent, const Code& name) {
  DcmItem& container = add_content(parent, "CONTAINS", "CONTAINER", name);
  put(container, DCM_ContinuityOfContent, "SEPARATE");
  return container;
}

void add_text(DcmItem& parent, const char* how, const Code& name, const std::string& value) {
  put(add_content(parent, how, "TEXT", name), DCM_TextValue, value);
}

void add_code(DcmItem& parent, const char* how, const Code& name, const Code& value) {
  put_code(add_content(parent, how, "CODE", name), DCM_ConceptCodeSequence, value);
}

DcmItem& add_number(DcmItem& parent, const char* how, const Code& name, double value, const Code& unit) {
  DcmItem& content = add_content(parent, how, "NUM", name);
  DcmItem& measured = add_item(content, DCM_MeasuredValueSequence);
  put(measured, DCM_NumericValue, decimal_string(value));
  put_code(measured, DCM_MeasurementUnitsCodeSequence, unit);
  return content;
}

// TID 300 with what it says about uncertainty. Nothing is added for a value that is not known.
void add_measurement(DcmItem& parent, const Code& name, const ReportedValue& value, const Code& unit,
                     const std::optional<Code>& derivation = {}, const std::optional<Code>& reference = {}) {
  if (!std::isfinite(value.value)) return;
  DcmItem& number = add_number(parent, "CONTAINS", name, value.value, unit);
  if (derivation) add_code(number, "HAS CONCEPT MOD", kDerivation, *derivation);
  if (reference) add_code(number, "HAS CONCEPT MOD", kReferenceMethod, *reference);
  if (std::isfinite(value.uncertainty) && value.uncertainty > 0) {
    add_number(number, "HAS PROPERTIES", kUncertainty, value.uncertainty, unit);
  }
}

constexpr const char* kDirection =
    "Proximal and distal count from where a segment's contours begin: at its wider end where one is clearly wider. "
    "That need not be the anatomical proximal end.";

// TID 1204, TID 1002 with 1004, and the program as TID 3213 wants it.
void add_context(DcmItem& root, const std::string& model) {
  add_code(root, "HAS CONCEPT MOD", kLanguage, kEnglish);
  add_code(root, "HAS OBS CONTEXT", kObserverType, kDevice);
  put(add_content(root, "HAS OBS CONTEXT", "UIDREF", kDeviceUid), DCM_UID, std::string(kObserverUid));
  add_text(root, "HAS OBS CONTEXT", kDeviceName, "cmunet");
  add_text(root, "HAS OBS CONTEXT", kAlgorithmName, model.empty() ? "cmunet" : "cmunet " + model);
  add_text(root, "HAS OBS CONTEXT", kAlgorithmVersion, kVersion);
  add_text(root, "HAS OBS CONTEXT", kAlgorithmManufacturer, "cmunet");
  add_text(root, "CONTAINS", kComment, kDisclaimer);
  add_text(root, "CONTAINS", kComment, kDirection);
}

// TID 3205; without calibration a comment in its place.
void add_calibration(DcmItem& finding, const std::optional<ReportedCalibration>& calibration) {
  if (!calibration) {
    add_text(finding, "CONTAINS", kComment, "Not calibrated: lengths are in pixels of the image.");
    return;
  }
  DcmItem& container = add_container(finding, kCalibration);
  add_code(container, "CONTAINS", kCalibrationMethod, code_of(calibration->method));
  if (calibration->method == CalibrationMethod::kCatheter) {
    add_code(container, "CONTAINS", kCalibrationObject, kCatheter);
    add_number(container, "CONTAINS", kCalibrationObjectSize, calibration->catheter_french, kFrench);
  }
  const auto spacing = [&](double mm) { return ReportedValue{mm, mm * calibration->relative_uncertainty}; };
  add_measurement(container, kHorizontalSpacing, spacing(calibration->mm_per_px.col_mm), kMillimetrePerPixel);
  add_measurement(container, kVerticalSpacing, spacing(calibration->mm_per_px.row_mm), kMillimetrePerPixel);
  if (!calibration->note.empty()) add_text(container, "CONTAINS", kComment, calibration->note);
}

// Column and row with the corner of the first pixel at 0\0 (PS3.3, C.18.6.1.1), on the image at `image_position`.
void add_contour(DcmItem& finding, const Code& name, const std::vector<image::PointF>& points,
                 const std::array<Uint32, 3>& image_position) {
  CMUNET_CHECK(points.size() >= 2, ErrorCode::kInvalidArgument, "[report] a contour has ", points.size(),
               " points; expected two or more");
  DcmItem& content = add_content(finding, "CONTAINS", "SCOORD", name);
  put(content, DCM_GraphicType, "POLYLINE");
  std::vector<Float32> pairs;
  for (const image::PointF& point : points) {
    pairs.push_back(static_cast<Float32>(point.x + 0.5));
    pairs.push_back(static_cast<Float32>(point.y + 0.5));
  }
  content.putAndInsertFloat32Array(DCM_GraphicData, pairs.data(), static_cast<unsigned long>(pairs.size()));
  DcmItem& reference = add_item(content, DCM_ContentSequence);
  put(reference, DCM_RelationshipType, "SELECTED FROM");
  reference.putAndInsertUint32Array(DCM_ReferencedContentItemIdentifier, image_position.data(), image_position.size());
}

// A narrowed place within the segment: its quantities, and the positions of TID 3218.
void add_lesion(DcmItem& finding, const ReportedLesion& lesion, const Code& unit) {
  DcmItem& container = add_container(finding, kFindings);
  const Code reference = code_of(lesion.reference_method);
  add_code(container, "HAS CONCEPT MOD", kFindingSite, kCoronaryArtery);
  add_measurement(container, kLumenDiameter, lesion.minimal_diameter, unit, kMinimum);
  add_measurement(container, kLumenDiameter, lesion.reference_diameter, unit, {}, reference);
  add_measurement(container, kDiameterStenosis, lesion.diameter_stenosis_percent, kPercent, {}, reference);
  add_measurement(container, kAreaStenosis, lesion.area_stenosis_percent, kPercent, {}, reference);
  add_measurement(container, kLesionLength, lesion.length, unit);
  add_measurement(container, kProximalBorder, {lesion.proximal_border}, unit);
  add_measurement(container, kDistalBorder, {lesion.distal_border}, unit);
  add_measurement(container, kSiteOfMinimum, {lesion.site_of_minimum}, unit);
  add_measurement(container, kSiteOfMaximum, {lesion.site_of_maximum}, unit);
}

// TID 3214. `position` is that of the container among the root's items, from 1.
void add_segment(DcmItem& root, const ArterialReport& report, const ReportedSegment& segment, const XaHeader& source,
                 Uint32 position) {
  const Code& unit = report.calibration ? kMillimetre : kPixels;
  DcmItem& finding = add_container(root, kFindings);
  add_code(finding, "HAS CONCEPT MOD", kFindingSite, kCoronaryArtery);
  DcmItem& image = add_content(finding, "CONTAINS", "IMAGE", kSourceOfMeasurement);
  put_reference(add_item(image, DCM_ReferencedSOPSequence), source, report.frame);
  const std::array<Uint32, 3> image_position{1, position, 2};
  add_calibration(finding, report.calibration);
  add_contour(finding, kLeftContour, segment.left_contour, image_position);
  add_contour(finding, kRightContour, segment.right_contour, image_position);
  add_measurement(finding, kSegmentLength, segment.length, unit);
  add_measurement(finding, kLumenDiameter, segment.mean_diameter, unit, kMean);
  add_measurement(finding, kLumenDiameter, segment.minimal_diameter, unit, kMinimum);
  add_measurement(finding, kLumenDiameter, segment.maximal_diameter, unit, kMaximum);
  if (segment.lesion) add_lesion(finding, *segment.lesion, unit);
}

void put_document(DcmItem& dataset, const Source& source) {
  put_empty_sequence(dataset, DCM_ReferencedPerformedProcedureStepSequence);
  put_empty_sequence(dataset, DCM_PerformedProcedureCodeSequence);
  put(dataset, DCM_CompletionFlag, "COMPLETE");
  put(dataset, DCM_VerificationFlag, "UNVERIFIED");
  put(dataset, DCM_PreliminaryFlag, "PRELIMINARY");
  DcmItem& evidence = add_item(dataset, DCM_CurrentRequestedProcedureEvidenceSequence);
  put(evidence, DCM_StudyInstanceUID, source.study_uid);
  DcmItem& series = add_item(evidence, DCM_ReferencedSeriesSequence);
  put(series, DCM_SeriesInstanceUID, source.series_uid);
  put_reference(add_item(series, DCM_ReferencedSOPSequence), source);
}

}  // namespace

void write_structured_report(const std::filesystem::path& path, const ResultSource& source,
                             const ArterialReport& report, const ResultOptions& options) {
  CMUNET_CHECK(!report.segments.empty(), ErrorCode::kInvalidArgument, "[report] there is no segment to report");
  CMUNET_CHECK(report.frame >= 0 && report.frame < source.header.frames, ErrorCode::kInvalidArgument, "[report] frame ",
               report.frame, " of ", source.header.frames);
  start_toolkit();
  DcmFileFormat file;
  DcmDataset& root = *file.getDataset();
  put_common_modules(root, source, options, kKind);
  put_document(root, source.header.source);
  put(root, DCM_ValueType, "CONTAINER");
  put_code(root, DCM_ConceptNameCodeSequence, kReport);
  put(root, DCM_ContinuityOfContent, "SEPARATE");
  if (report.calibration) {
    DcmItem& content_template = add_item(root, DCM_ContentTemplateSequence);
    put(content_template, DCM_MappingResource, "DCMR");
    put(content_template, DCM_TemplateIdentifier, "3213");
  }
  add_context(root, options.model);
  if (!is_xray(source.header)) add_text(root, "CONTAINS", kComment, kNoAngiogram);
  DcmSequenceOfItems* items = nullptr;
  root.findAndGetSequence(DCM_ContentSequence, items);
  for (const ReportedSegment& segment : report.segments) {
    add_segment(root, report, segment, source.header, static_cast<Uint32>(items->card()) + 1);
  }
  save_object(file, path);
}

}  // namespace cmunet::dicom
