// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/xa.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>

#include "cmunet/dicom/attributes.h"
#include "cmunet/dicom/field.h"
#include "cmunet/dicom/frames.h"
#include "cmunet/dicom/opening.h"
#include "cmunet/dicom/rendering.h"
#include "cmunet/dicom/xa_header.h"

namespace cmunet::dicom {
namespace {

// PS3.3 C.11.1.1.2: of XA and XRF with these relationships, the modality LUT only leads back to X-ray intensity;
// window and VOI LUT are for the stored values.
bool modality_is_for_intensity_only(const XaHeader& header) {
  return is_xray(header) && (header.is_log || header.pixel_intensity_relationship == "DISP");
}

// Without a window: 8 bits, and colours, whose luma is in [0, 255].
bool is_shown_as_is(const PixelFormat& format) { return format.bits_stored == 8 || format.has_palette(); }

void check_frame(const XaHeader& header, int index) {
  CMUNET_CHECK(index >= 0 && index < header.frames, ErrorCode::kInvalidArgument, "[dicom] frame ", index, " of ",
               header.frames);
}

}  // namespace

struct XaRun::Data {
  std::filesystem::path path;
  DcmFileFormat object;
  PixelFormat format;
  std::optional<FrameReader> frames;
  XaHeader header;
  Patient patient;
  image::Mask field;
  bool skip_modality = false;
  mutable std::optional<Window> range;  ///< shown when there is no window; found when first needed

  Rendering rendering(int index) {
    return read_rendering(*object.getDataset(), index, format.is_signed, skip_modality, nullptr);
  }
  image::ImageF modality_frame(int index, const Rendering& rendering) const {
    image::ImageF values = frames->read(index);
    apply_modality(rendering, values);
    return values;
  }
  Window full_range(const Rendering& rendering);
};

// 8-bit values are shown as they are. Others use few of their 16 bits, and which is only known from the pixels: from
// those of the middle frame, so that all frames of a run are shown alike.
Window XaRun::Data::full_range(const Rendering& rendering) {
  if (range) return *range;
  image::ImageF values(1, 2);
  if (is_shown_as_is(format) && !rendering.modality) {
    values.at(0, 0) = format.is_signed ? -128.0F : 0.0F;
    values.at(0, 1) = format.is_signed ? 127.0F : 255.0F;
    apply_modality(rendering, values);
  } else {
    values = modality_frame(header.frames / 2, rendering);
  }
  const auto [low, high] = std::ranges::minmax_element(values);
  const double black = static_cast<double>(*low), white = static_cast<double>(*high);
  range = Window{(black + white) / 2, std::max(white - black, 1e-6), WindowShape::kLinearExact};
  return *range;
}

XaRun::XaRun(const std::filesystem::path& file) : data_(std::make_unique<Data>()) {
  data_->path = file;
  std::vector<std::string> oddities;
  try {
    open_object(data_->object, file, oddities);
    DcmDataset& dataset = *data_->object.getDataset();
    CMUNET_CHECK(!(is_own_result(dataset) && dataset.tagExists(DCM_ConversionType)), ErrorCode::kUnsupported,
                 "[dicom] a picture on which cmunet drew vessels; expected the run that it was made from");
    data_->format = read_pixel_format(dataset, oddities);
    data_->frames.emplace(dataset, data_->format, oddities);
    data_->header = read_header(dataset, data_->format);
    data_->patient = read_patient(dataset);
    data_->field = read_field(dataset, data_->format.height, data_->format.width, data_->header.pixel_aspect_ratio,
                              std::nullopt, oddities);
    data_->skip_modality = modality_is_for_intensity_only(data_->header);
    const Rendering rendering = read_rendering(dataset, 0, data_->format.is_signed, data_->skip_modality, &oddities);
    if (!rendering.window && !rendering.voi && !is_shown_as_is(data_->format)) {
      oddities.emplace_back("no window; shown from the smallest to the largest value of the middle frame");
    }
  } catch (const Error& e) {
    if (e.message().find(file.string()) != std::string::npos) throw;
    throw Error(e.code(), concat(e.message(), " (", file.string(), ")"), e.hint());
  }
  auto& all = data_->header.oddities;
  all.insert(all.begin(), oddities.begin(), oddities.end());
}

XaRun::~XaRun() = default;
XaRun::XaRun(XaRun&&) noexcept = default;
XaRun& XaRun::operator=(XaRun&&) noexcept = default;

const XaHeader& XaRun::header() const { return data_->header; }
Geometry XaRun::geometry(int index) const {
  check_frame(data_->header, index);
  std::vector<std::string> said_already;
  return read_geometry(*data_->object.getDataset(), index, said_already);
}
const Patient& XaRun::patient() const { return data_->patient; }
const image::Mask& XaRun::field() const { return data_->field; }
image::Mask XaRun::field(int index) const {
  check_frame(data_->header, index);
  std::vector<std::string> said_already;
  return read_field(*data_->object.getDataset(), data_->format.height, data_->format.width,
                    data_->header.pixel_aspect_ratio, index, said_already);
}

image::ImageF XaRun::stored_frame(int index) const { return data_->modality_frame(index, data_->rendering(index)); }

image::ImageF XaRun::frame(int index) const {
  const Rendering rendering = data_->rendering(index);
  image::ImageF values = data_->modality_frame(index, rendering);
  const bool needs_range = !rendering.window && !rendering.voi;
  apply_voi(rendering, needs_range ? data_->full_range(rendering) : Window{}, values);
  if (data_->header.inverted) {
    for (float& v : values) v = 255 - v;
  }
  return values;
}

}  // namespace cmunet::dicom
