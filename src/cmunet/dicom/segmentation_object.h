// SPDX-License-Identifier: Apache-2.0
// Vessel masks as a DICOM Segmentation (PS3.3, A.51): one segment, one bit a pixel, one frame for each frame segmented.
// The masks lie on the source's pixel grid; a projection has no frame of reference, and so has the segmentation.
// Frames point at theirs by Derivation Image and Source Image sequences; the series by Referenced Series Sequence.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/dicom/result_object.h"
#include "cmunet/image/image.h"

namespace cmunet::dicom {

/// Collects masks frame by frame, an eighth of a byte a pixel, and writes them as one object.
class SegmentationObject {
 public:
  explicit SegmentationObject(ResultSource source, ResultOptions options = {});

  /// @param frame  0-based, of the source, higher than those before. @param mask  0 or 1, of the source's size
  /// @throws Error kInvalidArgument on another size or order.
  void add(int frame, const image::Mask& mask);

  int frames() const { return static_cast<int>(frames_.size()); }

  /// Writes explicit VR little endian, atomically. @throws Error kInvalidArgument without frames; kIo.
  void save(const std::filesystem::path& path) const;

 private:
  ResultSource source_;
  ResultOptions options_;
  std::vector<int> frames_;
  std::vector<std::uint8_t> bits_;  // frames follow each other without padding, lowest bit first (PS3.5, 8.1.1)
  std::size_t bit_count_ = 0;
};

/// A segmentation as it was read, its masks still packed.
struct SegmentationContent {
  std::string source_sop_instance_uid, source_series_uid, study_uid;
  std::string segment_label, segment_description, algorithm_name;
  std::vector<int> source_frames;  ///< 0-based, one for each mask
  int height = 0, width = 0;       ///< of a mask
  std::vector<std::uint8_t> bits;  ///< as in SegmentationObject

  /// @param index  of `source_frames`. @throws Error kInvalidArgument out of range.
  image::Mask mask(std::size_t index) const;
};

/// Reads a binary segmentation of one segment, as written here and by others, from untrusted bytes.
/// @throws Error kNotFound, kIo; kCorrupt; kUnsupported for what is no binary segmentation, has several segments, is of
/// several instances, or has more pixels than a run may have.
SegmentationContent read_segmentation(const std::filesystem::path& path);

}  // namespace cmunet::dicom
