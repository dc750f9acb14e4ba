// SPDX-License-Identifier: Apache-2.0
#include "cmunet/dicom/segmentation_object.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <array>
#include <utility>

#include "cmunet/base/error.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/attributes.h"
#include "cmunet/dicom/frames.h"
#include "cmunet/dicom/opening.h"
#include "cmunet/dicom/toolkit.h"
#include "cmunet/dicom/writing.h"

namespace cmunet::dicom {
namespace {

constexpr ObjectKind kKind{UID_SegmentationStorage, "SEG", 9001, "Vessel segmentation, not for clinical use"};
constexpr Code kAnatomicalStructure{"123037004", "SCT", "Anatomical Structure"};
constexpr Code kCoronaryArtery{"41801008", "SCT", "Coronary Artery"};
constexpr Code kArtificialIntelligence{"123110", "DCM", "Artificial Intelligence"};
constexpr Code kSegmentation{"113076", "DCM", "Segmentation"};
constexpr Code kSourceImage{"121322", "DCM", "Source image for image processing operation"};

void put_image(DcmItem& dataset, const XaHeader& header, std::size_t frames) {
  put(dataset, DCM_ImageType, "DERIVED\\PRIMARY");
  put(dataset, DCM_PatientOrientation, "");
  put(dataset, DCM_BurnedInAnnotation, "NO");
  put_lossy_compression(dataset, header);
  put(dataset, DCM_SamplesPerPixel, 1);
  put(dataset, DCM_PhotometricInterpretation, "MONOCHROME2");
  put(dataset, DCM_NumberOfFrames, static_cast<int>(frames));
  put(dataset, DCM_Rows, header.height);
  put(dataset, DCM_Columns, header.width);
  put_pixel_aspect_ratio(dataset, header);
  put(dataset, DCM_BitsAllocated, 1);
  put(dataset, DCM_BitsStored, 1);
  put(dataset, DCM_HighBit, 0);
  put(dataset, DCM_PixelRepresentation, 0);
  put(dataset, DCM_SegmentationType, "BINARY");
  put(dataset, DCM_ContentLabel, "VESSELS");
  put(dataset, DCM_ContentDescription, "Contrast-filled vessels, not for clinical use");
  put(dataset, DCM_ContentCreatorName, "");
}

void put_segment(DcmItem& dataset, const std::string& model, const XaHeader& source) {
  const std::string algorithm = utf8_prefix(model.empty() ? "cmunet" : "cmunet " + model, 64);
  DcmItem& segment = add_item(dataset, DCM_SegmentSequence);
  put(segment, DCM_SegmentNumber, 1);
  put(segment, DCM_SegmentLabel, "Coronary arteries");
  put(segment, DCM_SegmentDescription,
      is_xray(source) ? std::string(kDisclaimer) : concat(kDisclaimer, " ", kNoAngiogram));
  put(segment, DCM_SegmentAlgorithmType, "AUTOMATIC");
  put(segment, DCM_SegmentAlgorithmName, algorithm);
  put_code(segment, DCM_SegmentedPropertyCategoryCodeSequence, kAnatomicalStructure);
  put_code(segment, DCM_SegmentedPropertyTypeCodeSequence, kCoronaryArtery);
  DcmItem& identification = add_item(segment, DCM_SegmentationAlgorithmIdentificationSequence);
  put_code(identification, DCM_AlgorithmFamilyCodeSequence, kArtificialIntelligence);
  put(identification, DCM_AlgorithmName, algorithm);
  put(identification, DCM_AlgorithmVersion, std::string(kVersion));
  // The sky blue of the overlays as scaled CIELab (PS3.3, C.10.7.1.1).
  constexpr std::array<Uint16, 3> kSkyBlue = {45400, 28579, 23766};
  segment.putAndInsertUint16Array(DCM_RecommendedDisplayCIELabValue, kSkyBlue.data(), kSkyBlue.size());
}

// Frames are ordered by segment, of which there is one, and by time.
void put_dimensions(DcmItem& dataset) {
  const std::string organization = new_uid();
  put(add_item(dataset, DCM_DimensionOrganizationSequence), DCM_DimensionOrganizationUID, organization);
  struct Pointer {
    DcmTagKey attribute, group;
    const char* label;
  };
  for (const Pointer& pointer : {Pointer{DCM_ReferencedSegmentNumber, DCM_SegmentIdentificationSequence, "Segment"},
                                 Pointer{DCM_TemporalPositionIndex, DCM_FrameContentSequence, "Time"}}) {
    DcmItem& index = add_item(dataset, DCM_DimensionIndexSequence);
    put(index, DCM_DimensionOrganizationUID, organization);
    index.putAndInsertTagKey(DCM_DimensionIndexPointer, pointer.attribute);
    index.putAndInsertTagKey(DCM_FunctionalGroupPointer, pointer.group);
    put(index, DCM_DimensionDescriptionLabel, std::string(pointer.label));
  }
}

void put_frame(DcmItem& dataset, const XaHeader& source, int position, int frame) {
  DcmItem& groups = add_item(dataset, DCM_PerFrameFunctionalGroupsSequence);
  DcmItem& content = add_item(groups, DCM_FrameContentSequence);
  const Uint32 index[] = {1, static_cast<Uint32>(position)};
  content.putAndInsertUint32Array(DCM_DimensionIndexValues, index, 2);
  content.putAndInsertUint32(DCM_TemporalPositionIndex, static_cast<Uint32>(position));
  put(add_item(groups, DCM_SegmentIdentificationSequence), DCM_ReferencedSegmentNumber, 1);
  DcmItem& derivation = add_item(groups, DCM_DerivationImageSequence);
  put_code(derivation, DCM_DerivationCodeSequence, kSegmentation);
  DcmItem& image = add_item(derivation, DCM_SourceImageSequence);
  put_reference(image, source, frame);
  put_code(image, DCM_PurposeOfReferenceCodeSequence, kSourceImage);
  put(image, DCM_SpatialLocationsPreserved, "YES");
}

void put_referenced_series(DcmItem& dataset, const Source& source) {
  DcmItem& series = add_item(dataset, DCM_ReferencedSeriesSequence);
  put(series, DCM_SeriesInstanceUID, source.series_uid);
  put_reference(add_item(series, DCM_ReferencedInstanceSequence), source);
}

}  // namespace

SegmentationObject::SegmentationObject(ResultSource source, ResultOptions options)
    : source_(std::move(source)), options_(std::move(options)) {}

void SegmentationObject::add(int frame, const image::Mask& mask) {
  const XaHeader& header = source_.header;
  CMUNET_CHECK(mask.height() == header.height && mask.width() == header.width, ErrorCode::kInvalidArgument,
               "[segmentation] the mask is ", mask.height(), "x", mask.width(), " but frames are ", header.height, "x",
               header.width);
  CMUNET_CHECK(frame >= 0 && frame < header.frames && (frames_.empty() || frame > frames_.back()),
               ErrorCode::kInvalidArgument, "[segmentation] frame ", frame, " of ", header.frames,
               "; frames must rise from one to the next");
  frames_.push_back(frame);
  bits_.resize((bit_count_ + mask.size() + 15) / 16 * 2);  // an even number of bytes
  for (const std::uint8_t value : mask) {
    if (value != 0) bits_[bit_count_ / 8] = static_cast<std::uint8_t>(bits_[bit_count_ / 8] | (1U << (bit_count_ % 8)));
    ++bit_count_;
  }
}

void SegmentationObject::save(const std::filesystem::path& path) const {
  CMUNET_CHECK(!frames_.empty(), ErrorCode::kInvalidArgument, "[segmentation] there is no frame to write");
  start_toolkit();
  DcmFileFormat file;
  DcmDataset& dataset = *file.getDataset();
  put_common_modules(dataset, source_, options_, kKind);
  put_image(dataset, source_.header, frames_.size());
  put_segment(dataset, options_.model, source_.header);
  put_dimensions(dataset);
  put_referenced_series(dataset, source_.header.source);
  add_item(dataset, DCM_SharedFunctionalGroupsSequence);
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    put_frame(dataset, source_.header, static_cast<int>(i) + 1, frames_[i]);
  }
  const bool stored =
      dataset.putAndInsertUint8Array(DCM_PixelData, bits_.data(), static_cast<unsigned long>(bits_.size())).good();
  CMUNET_CHECK(stored, ErrorCode::kInternal, "[segmentation] the masks cannot be stored");
  save_object(file, path);
}

namespace {

// The data set's size as the header claims it, checked against the bytes that are there.
struct Extent {
  int frames = 0, height = 0, width = 0;
  std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
};

Extent read_extent(DcmItem& dataset, std::size_t pixel_bytes) {
  constexpr int kMaxSide = 65535, kMaxFrames = 100000;
  const auto whole = [&](const DcmTagKey& tag, int high) {
    const std::optional<int> value = integer(dataset, tag, 1, high);
    CMUNET_CHECK(value, ErrorCode::kCorrupt, "[segmentation] ", DcmTag(tag).getTagName(), " is missing");
    return *value;
  };
  const Extent extent{whole(DCM_NumberOfFrames, kMaxFrames), whole(DCM_Rows, kMaxSide), whole(DCM_Columns, kMaxSide)};
  CMUNET_CHECK(extent.pixels() <= static_cast<std::size_t>(kMaxFramePixels), ErrorCode::kUnsupported,
               "[segmentation] frames of ", extent.height, "x", extent.width, "; at most ", kMaxFramePixels,
               " pixels are read");
  const std::size_t needed = (extent.pixels() * static_cast<std::size_t>(extent.frames) + 7) / 8;
  CMUNET_CHECK(pixel_bytes >= needed, ErrorCode::kCorrupt, "[segmentation] ", pixel_bytes, " bytes of pixels for ",
               extent.frames, " frames of ", extent.height, "x", extent.width, "; expected ", needed);
  return extent;
}

void check_kind(DcmItem& dataset, const std::filesystem::path& path) {
  const bool is_binary = text(dataset, DCM_SOPClassUID) == UID_SegmentationStorage &&
                         text(dataset, DCM_SegmentationType) == "BINARY" &&
                         integer(dataset, DCM_BitsAllocated, 1, 64) == 1;
  CMUNET_CHECK(is_binary, ErrorCode::kUnsupported, "[segmentation] ", path.filename().string(),
               " is no binary DICOM segmentation");
  CMUNET_CHECK(item_of(dataset, DCM_SegmentSequence) != nullptr && item_of(dataset, DCM_SegmentSequence, 1) == nullptr,
               ErrorCode::kUnsupported, "[segmentation] ", path.filename().string(), " must hold one segment");
}

// The frame of the source that frame `index` was made from, 0-based.
int source_frame_of(DcmItem& dataset, int index, std::string& source_instance) {
  DcmItem* derivation = functional_group(dataset, index, DCM_DerivationImageSequence);
  DcmItem* image = derivation == nullptr ? nullptr : item_of(*derivation, DCM_SourceImageSequence);
  CMUNET_CHECK(image != nullptr, ErrorCode::kCorrupt, "[segmentation] frame ", index + 1, " does not name its source");
  source_instance = text(*image, DCM_ReferencedSOPInstanceUID);
  return integer(*image, DCM_ReferencedFrameNumber, 1, 100000).value_or(1) - 1;
}

}  // namespace

image::Mask SegmentationContent::mask(std::size_t index) const {
  CMUNET_CHECK(index < source_frames.size(), ErrorCode::kInvalidArgument, "[segmentation] mask ", index, " of ",
               source_frames.size());
  image::Mask mask(height, width);
  std::size_t bit = index * mask.size();
  for (std::uint8_t& value : mask) {
    value = static_cast<std::uint8_t>((bits[bit / 8] >> (bit % 8)) & 1U);
    ++bit;
  }
  return mask;
}

SegmentationContent read_segmentation(const std::filesystem::path& path) {
  CMUNET_CHECK(std::filesystem::is_regular_file(path), ErrorCode::kNotFound, "[segmentation] there is no file ",
               path.string());
  DcmFileFormat file;
  std::vector<std::string> oddities;
  open_object(file, path, oddities);
  DcmDataset& dataset = *file.getDataset();
  check_kind(dataset, path);
  const Uint8* bytes = nullptr;
  unsigned long length = 0;
  const bool has_pixels = dataset.findAndGetUint8Array(DCM_PixelData, bytes, &length).good() && bytes != nullptr;
  CMUNET_CHECK(has_pixels, ErrorCode::kCorrupt, "[segmentation] ", path.filename().string(), " has no pixels");
  const Extent extent = read_extent(dataset, length);

  SegmentationContent content;
  content.study_uid = text(dataset, DCM_StudyInstanceUID);
  if (DcmItem* series = item_of(dataset, DCM_ReferencedSeriesSequence)) {
    content.source_series_uid = text(*series, DCM_SeriesInstanceUID);
  }
  DcmItem& segment = *item_of(dataset, DCM_SegmentSequence);
  content.segment_label = text(segment, DCM_SegmentLabel);
  content.segment_description = text(segment, DCM_SegmentDescription);
  content.algorithm_name = text(segment, DCM_SegmentAlgorithmName);
  for (int i = 0; i < extent.frames; ++i) {
    std::string instance;
    content.source_frames.push_back(source_frame_of(dataset, i, instance));
    if (i == 0) content.source_sop_instance_uid = instance;
    CMUNET_CHECK(instance == content.source_sop_instance_uid, ErrorCode::kUnsupported, "[segmentation] ",
                 path.filename().string(), " is of several images; expected one of a single run");
  }
  content.height = extent.height, content.width = extent.width;
  content.bits.assign(bytes, bytes + (extent.pixels() * static_cast<std::size_t>(extent.frames) + 7) / 8);
  return content;
}

}  // namespace cmunet::dicom
