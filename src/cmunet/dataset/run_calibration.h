// SPDX-License-Identifier: Apache-2.0
// What the header of a DICOM run says about millimetres, in the words of `vessel`.
#pragma once

#include "cmunet/dicom/xa.h"
#include "cmunet/vessel/calibration.h"

namespace cmunet::dataset {

/// What the run's header says about millimetres in one frame.
vessel::AcquisitionGeometry geometry_of(const dicom::Geometry& geometry, double pixel_aspect_ratio);

/// What a frame's geometry supports (`vessel::calibrate_by_geometry`); pixels only when it supports nothing.
vessel::Calibration calibration_of(const dicom::Geometry& geometry, double pixel_aspect_ratio);

}  // namespace cmunet::dataset
