// SPDX-License-Identifier: Apache-2.0
// From stored values to what is shown: modality LUT, then VOI window or LUT (PS3.3 C.11.1, C.11.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/image/image.h"

class DcmItem;
class DcmTagKey;

namespace cmunet::dicom {

/// A table of PS3.3 C.11.1.1: values below `first` map to the first entry, above its end to the last.
struct LookupTable {
  double first = 0;
  std::vector<std::uint16_t> values;  ///< at least one
  double max_value = 255;             ///< the largest that an entry may have: white

  double operator()(double value) const;
};

/// A table from its descriptor (entries, first value mapped, bits) and its data; absent when one of them is missing or
/// too short, which `oddities` are told when not null. @param is_signed  whether the first value is.
std::optional<LookupTable> read_table(DcmItem& item, const DcmTagKey& descriptor, const DcmTagKey& data,
                                      bool is_signed = false, std::vector<std::string>* oddities = nullptr);

/// (0028,1056) VOI LUT Function.
enum class WindowShape { kLinear, kLinearExact, kSigmoid };

struct Window {
  double center = 0, width = 1;
  WindowShape shape = WindowShape::kLinear;

  /// In [0, 1].
  double operator()(double value) const;
};

/// How one frame is shown. In Enhanced XA each frame may have its own.
struct Rendering {
  double slope = 1, intercept = 0;
  std::optional<LookupTable> modality;  ///< instead of slope and intercept
  std::optional<LookupTable> voi;       ///< before the window, when an object has both
  std::optional<Window> window;         ///< the first, when there are several
};

/// @param skip_modality  leave the modality LUT out (see `XaHeader::is_log`)
/// @param oddities       what was wrong is said here, when not null
Rendering read_rendering(DcmItem& dataset, int frame, bool is_signed, bool skip_modality,
                         std::vector<std::string>* oddities);

/// Stored values become modality values, in place.
void apply_modality(const Rendering& rendering, image::ImageF& values);
/// Modality values become grey values in [0, 255], in place; `range` (black, white) serves when there is neither VOI
/// LUT nor window.
void apply_voi(const Rendering& rendering, Window range, image::ImageF& values);

}  // namespace cmunet::dicom
