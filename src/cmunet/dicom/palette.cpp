// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/palette.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>

#include "cmunet/base/error.h"
#include "cmunet/dicom/rendering.h"

namespace cmunet::dicom {

float Palette::operator()(float index) const {
  const double at = std::clamp(static_cast<double>(index) - first, 0.0, static_cast<double>(luma.size() - 1));
  return luma[static_cast<std::size_t>(at)];
}

Palette read_palette(DcmItem& dataset) {
  if (dataset.tagExists(DCM_SegmentedRedPaletteColorLookupTableData)) {
    throw Error(ErrorCode::kUnsupported, "[dicom] the palette's colours are segmented tables, which are not read",
                "export the picture in grey (MONOCHROME2) or RGB");
  }
  const auto red = read_table(dataset, DCM_RedPaletteColorLookupTableDescriptor, DCM_RedPaletteColorLookupTableData);
  const auto green =
      read_table(dataset, DCM_GreenPaletteColorLookupTableDescriptor, DCM_GreenPaletteColorLookupTableData);
  const auto blue = read_table(dataset, DCM_BluePaletteColorLookupTableDescriptor, DCM_BluePaletteColorLookupTableData);
  const bool is_whole =
      red && green && blue && green->values.size() == red->values.size() && blue->values.size() == red->values.size();
  CMUNET_CHECK(is_whole, ErrorCode::kCorrupt, "[dicom] PALETTE COLOR without three whole tables of one length");
  Palette palette;
  palette.first = static_cast<int>(red->first);
  const double white = std::max({red->max_value, green->max_value, blue->max_value});
  for (std::size_t i = 0; i < red->values.size(); ++i) {
    const double luma = 0.299 * red->values[i] + 0.587 * green->values[i] + 0.114 * blue->values[i];
    palette.luma.push_back(static_cast<float>(255 * luma / white));
  }
  return palette;
}

}  // namespace cmunet::dicom
