// SPDX-License-Identifier: Apache-2.0
// X-ray angiograms from DICOM: what a run is, and its frames one at a time. No DCMTK type appears here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmunet/image/image.h"

namespace cmunet::dicom {

/// Where (0028,0030) Pixel Spacing comes from: (0028,0A02) Pixel Spacing Calibration Type.
enum class SpacingCalibration { kGeometry, kFiducial, kUnspecified };

/// What the header says about size in the patient; nothing here is a millimetre per pixel until `vessel` makes it one.
struct Geometry {
  std::optional<image::Spacing> pixel_spacing_mm;  ///< (0028,0030), in the patient, when calibrated
  SpacingCalibration calibration = SpacingCalibration::kUnspecified;
  std::optional<image::Spacing> imager_pixel_spacing_mm;  ///< (0018,1164), on the detector: never patient spacing alone
  std::optional<double> magnification;                    ///< ERMF (0018,1114), > 0
  std::optional<double> source_detector_mm;               ///< SID (0018,1110)
  std::optional<double> source_patient_mm;                ///< SOD (0018,1111)
  std::optional<double> source_isocentre_mm;              ///< (0018,9402) of Enhanced XA
  /// (0018,9404) of Enhanced XA: at the centre of the beam, on the calibrated plane; with (0018,9449) Beam Angle
  std::optional<image::Spacing> object_pixel_spacing_mm;
  std::optional<double> beam_angle_deg;
  std::optional<double> primary_angle_deg;    ///< (0018,1510), + is LAO
  std::optional<double> secondary_angle_deg;  ///< (0018,1511), + is cranial
};

/// UIDs and names by which results point back to what they were made from.
struct Source {
  std::string sop_class_uid, sop_instance_uid, series_uid, study_uid;
  std::string transfer_syntax_uid;
};

/// Identifying attributes, kept apart so that they go only where a result belongs to the same patient (SEG, SR).
/// UTF-8, whatever the file's character set. Never logged, never stored.
struct Patient {
  std::string name, id, birth_date, sex;
  std::string study_id, study_date, study_time, accession_number, referring_physician;
  // (0010,0021), and of the first item of (0010,0024) Universal Entity ID, its type and Identifier Type Code: whose
  // number the Patient ID is.
  std::string issuer = {}, issuer_entity_id = {}, issuer_entity_id_type = {}, id_type = {};
};

/// One XA run (or single frame) as its header describes it.
struct XaHeader {
  int frames = 0, height = 0, width = 0;
  bool inverted = false;  ///< MONOCHROME1: stored 0 is white; frames are delivered the other way round
  bool is_log = false;    ///< Pixel Intensity Relationship LOG (0028,1040)
  std::string modality;   ///< (0008,0060); see is_xray
  std::string pixel_intensity_relationship;  ///< as stored; empty when absent
  double pixel_aspect_ratio = 1.0;           ///< row / column, 0.1…10, by the spacing, else (0028,0034)
  std::vector<double> frame_time_ms;         ///< start of each frame; empty when unknown
  bool burned_in_annotation = false;         ///< (0028,0301) YES
  bool no_burned_in_annotation = false;      ///< (0028,0301) NO; neither when the header does not say
  std::optional<std::string> lossy;          ///< why pixels are not the detector's, e.g. "JPEG baseline"
  std::string lossy_ratio, lossy_method;     ///< (0028,2112) and (0028,2114), when they are numbers and terms
  std::string utc_offset;                    ///< (0008,0201) of the header's times, ±HHMM; empty when absent
  Geometry geometry;                         ///< of the first frame, see XaRun::geometry
  Source source;
  std::vector<std::string> oddities;  ///< what was wrong and how it was read, one sentence each, without PHI
};

/// Is it of a modality that angiograms have, XA or RF? Another is read, too, and `oddities` says so.
bool is_xray(const XaHeader& header);
/// What results of another modality say.
inline constexpr const char* kNoAngiogram = "The source is no X-ray angiogram by its modality: results mean nothing.";

/// A run opened for reading. Frames are decoded when they are asked for; at most a few are in memory at once.
/// Not thread-safe.
class XaRun {
 public:
  /// @throws Error kNotFound, kCorrupt, kUnsupported (no pixel data, not an image, a syntax that is not read, a picture
  /// that cmunet drew on), kOutOfMemory never for sizes that the file only claims.
  explicit XaRun(const std::filesystem::path& file);
  ~XaRun();
  XaRun(XaRun&&) noexcept;
  XaRun& operator=(XaRun&&) noexcept;

  const XaHeader& header() const;
  const Patient& patient() const;

  /// Frame `index` (0-based) as it is shown: modality LUT, VOI window or LUT, inverted for MONOCHROME1, [0, 255], grey;
  /// contrast-filled arteries are dark. On its own pixel grid: nothing is resampled.
  /// @throws Error kInvalidArgument for an index out of range, kCorrupt for a frame that cannot be decoded.
  image::ImageF frame(int index) const;
  /// The same with the stored values after the modality LUT, before any window.
  image::ImageF stored_frame(int index) const;
  /// What the header says of frame `index`: in Enhanced XA distances and angles may differ from frame to frame.
  /// @throws Error kInvalidArgument for an index out of range.
  Geometry geometry(int index) const;
  /// 1 where the picture is in any frame: inside the first frame's shutters (0018,1600) and away from the overlays
  /// (60xx) of all frames. All 1 when there are none.
  const image::Mask& field() const;
  /// The same of frame `index` alone, by its own shutters and overlays.
  /// @throws Error kInvalidArgument for an index out of range.
  image::Mask field(int index) const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

/// Is the file a result of this program: a picture that it drew on, a segmentation or a report?
bool is_own_result(const std::filesystem::path& file);
/// Does a path name a DICOMDIR, in whatever case a disc is mounted?
bool is_dicomdir(const std::filesystem::path& path);

/// True when the file begins like DICOM (preamble and "DICM", or a plausible first group without them).
bool is_dicom_file(const std::filesystem::path& file);

/// The XA objects (also Enhanced XA, XRF, secondary capture) below a folder, or that a DICOMDIR names; other files are
/// passed over, and so are pictures that cmunet drew on. Sorted by study, series, instance; first those whose meta
/// header says that they are such objects and that cannot be opened.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& folder_or_dicomdir);

}  // namespace cmunet::dicom
