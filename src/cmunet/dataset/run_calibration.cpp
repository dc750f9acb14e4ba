// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dataset/run_calibration.h"

namespace cmunet::dataset {
namespace {

vessel::SpacingOrigin origin_of(dicom::SpacingCalibration calibration) {
  switch (calibration) {
    case dicom::SpacingCalibration::kGeometry: return vessel::SpacingOrigin::kGeometry;
    case dicom::SpacingCalibration::kFiducial: return vessel::SpacingOrigin::kFiducial;
    case dicom::SpacingCalibration::kUnspecified: break;
  }
  return vessel::SpacingOrigin::kUnknown;
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

}  // namespace cmunet::dataset
