// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/xa_header.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <cmath>

#include "cmunet/dicom/attributes.h"

namespace cmunet::dicom {
namespace {

std::optional<image::Spacing> read_spacing(DcmItem& item, const DcmTagKey& tag, const char* name,
                                           std::vector<std::string>& oddities) {
  const std::vector<double> values = numbers(item, tag);
  if (values.empty()) return std::nullopt;
  const image::Spacing spacing{values[0], values.size() > 1 ? values[1] : values[0]};
  const auto is_plausible = [](double mm) { return mm >= 0.005 && mm <= 10; };
  if (is_plausible(spacing.row_mm) && is_plausible(spacing.col_mm)) return spacing;
  oddities.push_back(concat(name, " is ", spacing.row_mm, "\\", spacing.col_mm, " mm; left out"));
  return std::nullopt;
}

std::optional<double> read_positive(DcmItem& item, const DcmTagKey& tag) {
  const std::optional<double> value = number(item, tag);
  return value && *value > 0 ? value : std::nullopt;
}

// PS3.3 C.7.6.3.1.7: Pixel Aspect Ratio is for images without a spacing.
double read_aspect_ratio(DcmDataset& dataset, const Geometry& geometry, std::vector<std::string>& oddities) {
  const std::vector<double> ratio = numbers(dataset, DCM_PixelAspectRatio);
  const bool has_ratio = ratio.size() == 2 && ratio[0] > 0 && ratio[1] > 0;
  if (!ratio.empty() && !has_ratio) oddities.emplace_back("Pixel Aspect Ratio is not two positive numbers; left out");
  const auto& spacing = geometry.pixel_spacing_mm ? geometry.pixel_spacing_mm : geometry.imager_pixel_spacing_mm;
  const double aspect = spacing ? spacing->row_mm / spacing->col_mm : has_ratio ? ratio[0] / ratio[1] : 1.0;
  constexpr double kMost = 5;
  if (aspect <= kMost && aspect >= 1 / kMost) return aspect;
  oddities.push_back(concat("pixels are ", aspect, " times as high as wide; read as square"));
  return 1.0;
}

// From Frame Time, Frame Time Vector or a rate; empty when none of them is usable.
std::vector<double> read_frame_times(DcmDataset& dataset, int frames, std::vector<std::string>& oddities) {
  const auto count = static_cast<std::size_t>(frames);
  std::vector<double> times;
  const std::vector<double> increments = numbers(dataset, DCM_FrameTimeVector);
  if (increments.size() >= count && count > 1) {
    double at = 0;
    for (std::size_t i = 0; i < count; ++i) times.push_back(at += i == 0 ? 0 : std::max(0.0, increments[i]));
    return times;
  }
  if (!increments.empty() && increments.size() < count) {
    oddities.emplace_back("Frame Time Vector is shorter than the run; left out");
  }
  std::optional<double> step = read_positive(dataset, DCM_FrameTime);
  for (const DcmTagKey& rate : {DCM_CineRate, DCM_RecommendedDisplayFrameRate}) {
    const std::optional<double> per_second = read_positive(dataset, rate);
    if (!step && per_second) step = 1000 / *per_second;
  }
  for (std::size_t i = 0; step && i < count; ++i) times.push_back(static_cast<double>(i) * *step);
  return times;
}

// This goes into reports, and other text than the standard's terms (PS3.3 C.7.6.1.1.5.1) may be anything.
std::string read_lossy_method(DcmDataset& dataset) {
  const std::string method = text(dataset, DCM_LossyImageCompressionMethod);
  const bool is_term = method.starts_with("ISO_") &&
                       method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_\\") == std::string::npos;
  return is_term ? method : "";
}

// "+0130"; empty for anything else.
std::string read_utc_offset(DcmDataset& dataset) {
  const std::string offset = text(dataset, DCM_TimezoneOffsetFromUTC);
  const bool is_offset = offset.size() == 5 && (offset[0] == '+' || offset[0] == '-') &&
                         offset.find_first_not_of("0123456789", 1) == std::string::npos &&
                         offset.compare(1, 4, "1400") <= 0;
  return is_offset ? offset : "";
}

std::optional<std::string> read_lossy(DcmDataset& dataset) {
  const E_TransferSyntax syntax = dataset.getOriginalXfer();
  if (syntax == EXS_JPEGProcess1) return "JPEG baseline";
  if (syntax == EXS_JPEGProcess2_4) return "JPEG extended";
  const bool was_lossy = text(dataset, DCM_LossyImageCompression) == "01";
  if (!was_lossy) return std::nullopt;
  const std::string method = read_lossy_method(dataset);
  return method.empty() ? "compressed with loss before" : "compressed with loss before: " + method;
}

}  // namespace

Geometry read_geometry(DcmDataset& dataset, int frame, std::vector<std::string>& oddities) {
  const auto owner = [&](const DcmTagKey& macro, const DcmTagKey& tag) -> DcmItem& {
    return owner_of(dataset, frame, macro, tag);
  };
  Geometry geometry;
  geometry.pixel_spacing_mm = read_spacing(dataset, DCM_PixelSpacing, "Pixel Spacing", oddities);
  const std::string calibration = text(dataset, DCM_PixelSpacingCalibrationType);
  if (calibration == "GEOMETRY") geometry.calibration = SpacingCalibration::kGeometry;
  if (calibration == "FIDUCIAL") geometry.calibration = SpacingCalibration::kFiducial;
  geometry.imager_pixel_spacing_mm = read_spacing(owner(DCM_FramePixelDataPropertiesSequence, DCM_ImagerPixelSpacing),
                                                  DCM_ImagerPixelSpacing, "Imager Pixel Spacing", oddities);
  DcmItem* projection = functional_group(dataset, frame, DCM_ProjectionPixelCalibrationSequence);
  if (projection != nullptr) {
    geometry.object_pixel_spacing_mm = read_spacing(*projection, DCM_ObjectPixelSpacingInCenterOfBeam,
                                                    "Object Pixel Spacing in Center of Beam", oddities);
    geometry.beam_angle_deg = number(*projection, DCM_BeamAngle);
  }
  geometry.magnification = read_positive(dataset, DCM_EstimatedRadiographicMagnificationFactor);
  geometry.source_detector_mm =
      read_positive(owner(DCM_XRayGeometrySequence, DCM_DistanceSourceToDetector), DCM_DistanceSourceToDetector);
  geometry.source_patient_mm =
      read_positive(owner(DCM_XRayGeometrySequence, DCM_DistanceSourceToPatient), DCM_DistanceSourceToPatient);
  geometry.source_isocentre_mm =
      read_positive(owner(DCM_XRayGeometrySequence, DCM_DistanceSourceToIsocenter), DCM_DistanceSourceToIsocenter);
  geometry.primary_angle_deg =
      number(owner(DCM_PositionerPositionSequence, DCM_PositionerPrimaryAngle), DCM_PositionerPrimaryAngle);
  geometry.secondary_angle_deg =
      number(owner(DCM_PositionerPositionSequence, DCM_PositionerSecondaryAngle), DCM_PositionerSecondaryAngle);
  return geometry;
}

bool is_xray(const XaHeader& header) { return header.modality == "XA" || header.modality == "RF"; }

XaHeader read_header(DcmDataset& dataset, const PixelFormat& format) {
  XaHeader header;
  header.frames = format.frames;
  header.height = format.height;
  header.width = format.width;
  header.inverted = format.photometric == "MONOCHROME1";
  header.modality = text(dataset, DCM_Modality);
  header.pixel_intensity_relationship =
      text(owner_of(dataset, 0, DCM_FramePixelDataPropertiesSequence, DCM_PixelIntensityRelationship),
           DCM_PixelIntensityRelationship);
  header.is_log = header.pixel_intensity_relationship == "LOG";
  const std::string burned_in = text(dataset, DCM_BurnedInAnnotation);
  header.burned_in_annotation = burned_in == "YES";
  header.no_burned_in_annotation = burned_in == "NO";
  header.lossy = read_lossy(dataset);
  header.lossy_method = read_lossy_method(dataset);
  if (!numbers(dataset, DCM_LossyImageCompressionRatio).empty()) {
    header.lossy_ratio = text(dataset, DCM_LossyImageCompressionRatio);
  }
  header.utc_offset = read_utc_offset(dataset);
  if (!is_xray(header)) {
    header.oddities.push_back(concat("its modality is ", modality_name(header.modality),
                                     "; expected an X-ray angiogram, XA or RF: what is found in others means nothing"));
  }
  header.geometry = read_geometry(dataset, 0, header.oddities);
  header.pixel_aspect_ratio = read_aspect_ratio(dataset, header.geometry, header.oddities);
  header.frame_time_ms = read_frame_times(dataset, format.frames, header.oddities);
  header.source = {text(dataset, DCM_SOPClassUID), text(dataset, DCM_SOPInstanceUID),
                   text(dataset, DCM_SeriesInstanceUID), text(dataset, DCM_StudyInstanceUID), format.transfer_syntax};
  return header;
}

Patient read_patient(DcmDataset& dataset) {
  DcmDataset named;  // a small copy, so that converting its characters does not touch the pixels
  for (const DcmTagKey& tag : {DCM_SpecificCharacterSet, DCM_PatientName, DCM_PatientID, DCM_StudyID,
                               DCM_AccessionNumber, DCM_ReferringPhysicianName, DCM_IssuerOfPatientID}) {
    DcmElement* element = nullptr;
    if (dataset.findAndGetElement(tag, element).good() && element->getLength() < 4096) {
      dataset.findAndInsertCopyOfElement(tag, &named);
    }
  }
  // This fails where a device wrote other characters than it declares; as_utf8 then makes of them what it can.
  static_cast<void>(named.convertToUTF8());
  const auto name_text = [&](const DcmTagKey& tag) { return as_utf8(text(named, tag)); };
  const auto plain_text = [&](const DcmTagKey& tag) { return as_utf8(text(dataset, tag)); };
  Patient patient;
  patient.name = name_text(DCM_PatientName);
  patient.id = name_text(DCM_PatientID);
  patient.issuer = name_text(DCM_IssuerOfPatientID);
  if (DcmItem* qualifiers = item_of(dataset, DCM_IssuerOfPatientIDQualifiersSequence)) {
    patient.issuer_entity_id = as_utf8(text(*qualifiers, DCM_UniversalEntityID));
    patient.issuer_entity_id_type = as_utf8(text(*qualifiers, DCM_UniversalEntityIDType));
    patient.id_type = as_utf8(text(*qualifiers, DCM_IdentifierTypeCode));
  }
  patient.birth_date = plain_text(DCM_PatientBirthDate);
  patient.sex = plain_text(DCM_PatientSex);
  patient.study_id = name_text(DCM_StudyID);
  patient.study_date = plain_text(DCM_StudyDate);
  patient.study_time = plain_text(DCM_StudyTime);
  patient.accession_number = name_text(DCM_AccessionNumber);
  patient.referring_physician = name_text(DCM_ReferringPhysicianName);
  return patient;
}

}  // namespace cmunet::dicom
