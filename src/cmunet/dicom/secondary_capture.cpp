// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/secondary_capture.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/dicom/writing.h"

namespace cmunet::dicom {
namespace {

constexpr ObjectKind kKind{UID_SecondaryCaptureImageStorage, "OT", 9003, "Vessel overlay, not for clinical use"};
constexpr Code kSourceImage{"121322", "DCM", "Source image for image processing operation"};
constexpr std::string_view kWarning = "NOT FOR CLINICAL USE";

// The letters of the warning, 5 wide and 7 high: one byte a row, bit 4 on the left.
struct Glyph {
  char letter;
  std::array<std::uint8_t, 7> rows;
};
constexpr std::array<Glyph, 13> kGlyphs{{
    {'A', {0x0E, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}},
    {'C', {0x0F, 0x10, 0x10, 0x10, 0x10, 0x10, 0x0F}},
    {'E', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F}},
    {'F', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x10}},
    {'I', {0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x1F}},
    {'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1F}},
    {'N', {0x11, 0x19, 0x15, 0x13, 0x11, 0x11, 0x11}},
    {'O', {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}},
    {'R', {0x1E, 0x11, 0x11, 0x1E, 0x14, 0x12, 0x11}},
    {'S', {0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E}},
    {'T', {0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
    {'U', {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}},
    {' ', {0, 0, 0, 0, 0, 0, 0}},
}};

// White on a black strip along the lower edge, cut off where the picture is too narrow.
void draw_warning(image::ImageRgb& picture) {
  constexpr int kPitch = 6, kHeight = 9;
  const int scale = std::max(1, picture.width() / 256);
  const int top = picture.height() - kHeight * scale;
  for (int y = top; y < picture.height(); ++y) std::fill_n(picture.row(y), picture.width(), image::Rgb{0, 0, 0});
  for (int x = 0; x < picture.width(); ++x) {
    const int column = x / scale - 1;
    if (column < 0 || column >= kPitch * static_cast<int>(kWarning.size()) || column % kPitch == 5) continue;
    const char letter = kWarning[static_cast<std::size_t>(column / kPitch)];
    const Glyph& glyph = *std::ranges::find(kGlyphs, letter, &Glyph::letter);
    for (int y = scale; y < 8 * scale; ++y) {
      const unsigned row = glyph.rows[static_cast<std::size_t>(y / scale - 1)];
      if ((row >> (4 - column % kPitch) & 1U) != 0) picture.at(top + y, x) = {255, 255, 255};
    }
  }
}

void put_image(DcmItem& dataset, const XaHeader& header, const image::ImageRgb& picture) {
  put(dataset, DCM_ImageType, "DERIVED\\SECONDARY");
  put(dataset, DCM_ConversionType, "WSD");
  put(dataset, DCM_PatientOrientation, "");
  put(dataset, DCM_Laterality, "");
  // What the frame shows of the patient, the picture shows too.
  if (header.burned_in_annotation) put(dataset, DCM_BurnedInAnnotation, "YES");
  if (header.no_burned_in_annotation) put(dataset, DCM_BurnedInAnnotation, "NO");
  put(dataset, DCM_ImageComments, std::string(kDisclaimer));
  put(dataset, DCM_DerivationDescription, concat("Vessels marked by cmunet ", kVersion, ". ", kDisclaimer));
  put_lossy_compression(dataset, header);
  put(dataset, DCM_SamplesPerPixel, 3);
  put(dataset, DCM_PhotometricInterpretation, "RGB");
  put(dataset, DCM_PlanarConfiguration, 0);
  put(dataset, DCM_Rows, picture.height());
  put(dataset, DCM_Columns, picture.width());
  put_pixel_aspect_ratio(dataset, header);
  put(dataset, DCM_BitsAllocated, 8);
  put(dataset, DCM_BitsStored, 8);
  put(dataset, DCM_HighBit, 7);
  put(dataset, DCM_PixelRepresentation, 0);
}

}  // namespace

void write_secondary_capture(const std::filesystem::path& path, const ResultSource& source, int frame,
                             image::ImageRgb picture, const ResultOptions& options) {
  CMUNET_CHECK(frame >= 0 && frame < source.header.frames, ErrorCode::kInvalidArgument, "[secondary capture] frame ",
               frame, " of ", source.header.frames);
  CMUNET_CHECK(std::min(picture.height(), picture.width()) >= 16, ErrorCode::kInvalidArgument,
               "[secondary capture] the picture is ", picture.height(), "x", picture.width(),
               "; expected 16 px a side");
  start_toolkit();
  draw_warning(picture);
  DcmFileFormat file;
  DcmDataset& dataset = *file.getDataset();
  put_common_modules(dataset, source, options, kKind);
  put_image(dataset, source.header, picture);
  DcmItem& origin = add_item(dataset, DCM_SourceImageSequence);
  put_reference(origin, source.header, frame);
  put_code(origin, DCM_PurposeOfReferenceCodeSequence, kSourceImage);
  std::vector<std::uint8_t> bytes;
  bytes.reserve(3 * picture.size() + 1);
  for (const image::Rgb& pixel : picture) bytes.insert(bytes.end(), {pixel.r, pixel.g, pixel.b});
  if (bytes.size() % 2 != 0) bytes.push_back(0);
  const bool stored =
      dataset.putAndInsertUint8Array(DCM_PixelData, bytes.data(), static_cast<unsigned long>(bytes.size())).good();
  CMUNET_CHECK(stored, ErrorCode::kInternal, "[secondary capture] the pixels cannot be stored");
  save_object(file, path);
}

}  // namespace cmunet::dicom
