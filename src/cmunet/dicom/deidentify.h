// SPDX-License-Identifier: Apache-2.0
// Copies of X-ray runs without the patient: PS3.15 Annex E, Basic Application Level Confidentiality Profile, applied
// by rule rather than by list. What is not known to be needed for the picture or its geometry is left out.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cmunet::dicom {

enum class Dates {
  kRemoved,
  kShifted,  ///< dates of one patient move by one random number of days, so that intervals stay; times stay
};

struct DeidentifyOptions {
  Dates dates = Dates::kRemoved;
  bool allow_burned_in_text = false;  ///< also write runs whose header says that text is burned into the pixels
};

/// What was done to one object. Names attributes, never their values.
struct DeidentifyReport {
  std::string pseudonym;       ///< the new Patient ID and Patient's Name
  int removed_attributes = 0;  ///< within sequences too, not what removed sequences held
  int replaced_uids = 0;       ///< occurrences
  int cleared_comments = 0;    ///< comment and application segments within compressed frames
  bool may_have_text = true;   ///< Burned In Annotation is not NO: someone has to look at the pixels
};

/// De-identifies the objects of one archive: equal UIDs become equal new ones, one patient one pseudonym (P1, P2, …).
/// The new UIDs are random and the table that links them is lost with this object, so nothing leads back.
/// Not thread-safe.
class Deidentifier {
 public:
  explicit Deidentifier(const DeidentifyOptions& options);
  ~Deidentifier();

  /// Writes the de-identified copy of a run, in its transfer syntax; the pixels themselves are not changed, but bits
  /// that they do not use, and bytes behind the last frame, are cleared.
  /// Kept: what groups 0018, 0020, 0028 and functional groups say in numbers, codes and enumerated values. Removed:
  /// every text, name, age, address, date and time, private and unknown element, overlay, curve, icon, signature and
  /// the file's preamble. @throws Error like XaRun; kUnsupported for a run with burned-in text that is not allowed,
  /// or whose header says that an overlay lies in unused bits of compressed pixels; kInvalidArgument when both are one
  /// file; kIo.
  DeidentifyReport copy(const std::filesystem::path& from, const std::filesystem::path& to);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace cmunet::dicom
