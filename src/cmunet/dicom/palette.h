// SPDX-License-Identifier: Apache-2.0
// Palette colours (PS3.3 C.7.6.3.1.5) as grey: screen captures come with them.
#pragma once

#include <vector>

class DcmItem;

namespace cmunet::dicom {

/// Grey values of the indices that are stored as pixels.
struct Palette {
  int first = 0;  ///< index of the first entry; lower indices are shown as it is, those above the end as the last
  std::vector<float> luma;  ///< ITU-R BT.601 of each entry's colour, [0, 255]; at least one

  float operator()(float index) const;
};

/// @throws Error kUnsupported for segmented tables, kCorrupt when a table is missing, too short, or of another length
/// than the others.
Palette read_palette(DcmItem& dataset);

}  // namespace cmunet::dicom
