// SPDX-License-Identifier: Apache-2.0
// The attributes of a data set that `XaHeader` and `Patient` hold.
#pragma once

#include "cmunet/dicom/frames.h"
#include "cmunet/dicom/xa.h"

class DcmDataset;

namespace cmunet::dicom {

/// Everything of the header but the frames' number and size, which `format` knows.
XaHeader read_header(DcmDataset& dataset, const PixelFormat& format);
/// What holds for one frame, 0-based. @param oddities  what was left out is said here
Geometry read_geometry(DcmDataset& dataset, int frame, std::vector<std::string>& oddities);
Patient read_patient(DcmDataset& dataset);

}  // namespace cmunet::dicom
