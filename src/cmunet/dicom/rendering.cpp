// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/rendering.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <cmath>

#include "cmunet/dicom/attributes.h"

namespace cmunet::dicom {
namespace {

void say(std::vector<std::string>* oddities, const char* what) {
  if (oddities != nullptr) oddities->emplace_back(what);
}

std::optional<Window> read_window(DcmItem& item, std::vector<std::string>* oddities) {
  const std::optional<double> center = number(item, DCM_WindowCenter);
  const std::optional<double> width = number(item, DCM_WindowWidth);
  if (!center || !width) return std::nullopt;
  const std::string function = text(item, DCM_VOILUTFunction);
  Window window{*center, *width};
  if (function == "SIGMOID") window.shape = WindowShape::kSigmoid;
  if (function == "LINEAR_EXACT") window.shape = WindowShape::kLinearExact;
  const bool is_valid = window.shape == WindowShape::kLinear ? window.width >= 1 : window.width > 0;
  if (is_valid) return window;
  say(oddities, "the window has no width and was left out");
  return std::nullopt;
}

}  // namespace

std::optional<LookupTable> read_table(DcmItem& item, const DcmTagKey& descriptor_tag, const DcmTagKey& data_tag,
                                      bool is_signed, std::vector<std::string>* oddities) {
  const std::vector<std::uint16_t> descriptor = words(item, descriptor_tag);
  std::vector<std::uint16_t> data = words(item, data_tag);
  if (descriptor.size() < 3) {
    say(oddities, "a lookup table has no usable descriptor and was left out");
    return std::nullopt;
  }
  const std::size_t entries = descriptor[0] == 0 ? std::size_t{65536} : descriptor[0];
  if (data.size() * 2 >= entries && data.size() < entries) {  // two 8-bit entries in a word
    std::vector<std::uint16_t> unpacked;
    for (const std::uint16_t word : data) {
      unpacked.push_back(word & 0xff);
      unpacked.push_back(word >> 8);
    }
    data = std::move(unpacked);
  }
  if (data.size() < entries) {
    say(oddities, "a lookup table is shorter than its descriptor says and was left out");
    return std::nullopt;
  }
  data.resize(entries);
  LookupTable table;
  table.first = is_signed ? static_cast<std::int16_t>(descriptor[1]) : descriptor[1];
  // Descriptors are often wrong about the bits; the entries are not.
  const int bits = std::clamp<int>(descriptor[2], 8, 16);
  table.max_value = std::max((1 << bits) - 1, static_cast<int>(*std::ranges::max_element(data)));
  table.values = std::move(data);
  return table;
}

double LookupTable::operator()(double value) const {
  const double index = std::clamp(std::round(value - first), 0.0, static_cast<double>(values.size() - 1));
  return values[static_cast<std::size_t>(index)];
}

double Window::operator()(double value) const {
  switch (shape) {
    case WindowShape::kSigmoid: return 1 / (1 + std::exp(-4 * (value - center) / width));
    case WindowShape::kLinearExact: return std::clamp((value - center) / width + 0.5, 0.0, 1.0);
    case WindowShape::kLinear: break;
  }
  if (width <= 1) return value <= center - 0.5 ? 0 : 1;
  return std::clamp((value - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0);
}

Rendering read_rendering(DcmItem& dataset, int frame, bool is_signed, bool skip_modality,
                         std::vector<std::string>* oddities) {
  Rendering rendering;
  DcmItem& scale = owner_of(dataset, frame, DCM_PixelValueTransformationSequence, DCM_RescaleSlope);
  const std::optional<double> slope = number(scale, DCM_RescaleSlope);
  const std::optional<double> intercept = number(scale, DCM_RescaleIntercept);
  if (!skip_modality) {
    rendering.slope = slope.value_or(1);
    rendering.intercept = intercept.value_or(0);
    if (rendering.slope == 0) {
      say(oddities, "Rescale Slope is 0; read as 1");
      rendering.slope = 1;
    }
    if (DcmItem* item = item_of(dataset, DCM_ModalityLUTSequence)) {
      rendering.modality = read_table(*item, DCM_LUTDescriptor, DCM_LUTData, is_signed, oddities);
    }
  }
  // A VOI LUT's input is signed when modality values can be negative.
  const bool voi_is_signed = rendering.modality ? false : is_signed || rendering.intercept < 0;
  DcmItem* group = functional_group(dataset, frame, DCM_FrameVOILUTSequence);
  for (DcmItem* owner : {group, &dataset}) {
    if (owner == nullptr || rendering.voi || rendering.window) continue;
    if (DcmItem* item = item_of(*owner, DCM_VOILUTSequence)) {
      rendering.voi = read_table(*item, DCM_LUTDescriptor, DCM_LUTData, voi_is_signed, oddities);
    }
    rendering.window = read_window(*owner, oddities);
  }
  return rendering;
}

void apply_modality(const Rendering& rendering, image::ImageF& values) {
  if (!rendering.modality && rendering.slope == 1 && rendering.intercept == 0) return;
  for (float& v : values) {
    const double stored = static_cast<double>(v);
    v = static_cast<float>(rendering.modality ? (*rendering.modality)(stored)
                                              : stored * rendering.slope + rendering.intercept);
  }
}

void apply_voi(const Rendering& rendering, Window range, image::ImageF& values) {
  const Window& window = rendering.window ? *rendering.window : range;
  for (float& v : values) {
    const double value = static_cast<double>(v);
    const double shown = rendering.voi ? (*rendering.voi)(value) / rendering.voi->max_value : window(value);
    v = static_cast<float>(255 * shown);
  }
}

}  // namespace cmunet::dicom
