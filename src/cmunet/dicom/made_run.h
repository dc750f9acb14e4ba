// SPDX-License-Identifier: Apache-2.0
// For tests and fuzzing: runs with known pixels in any transfer syntax, written by DCMTK and OpenJPEG.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cmunet::dicom {

/// How the frames of an encapsulated syntax are laid out.
enum class OffsetTable { kRight, kEmpty, kWrong };

struct MadeRun {
  std::string syntax = "1.2.840.10008.1.2.1";
  int frames = 3, height = 12, width = 20;
  int samples = 1;
  int bits_allocated = 8, bits_stored = 8, high_bit = 7;
  bool is_signed = false;
  bool is_planar = false;
  std::string photometric = "MONOCHROME2";
  /// The cell (as stored, with anything in unused bits) of a sample.
  std::function<int(int frame, int y, int x, int sample)> cell = [](int f, int y, int x, int s) {
    return (7 * f + 3 * y + 5 * x + 31 * s) % 251;
  };
  /// "Keyword[item].Keyword=value" as DCMTK's path syntax, set in this order.
  std::vector<std::string> attributes;
  OffsetTable offset_table = OffsetTable::kRight;
  int fragments_per_frame = 1;  ///< of an encapsulated syntax
  bool has_pixels = true;
  bool has_preamble = true;  ///< without it also the group 2 header is missing
};

/// The bytes of the object, with an XA class, a patient, and what `run` says.
std::string make_run(const MadeRun& run);
void write_run(const MadeRun& run, const std::filesystem::path& file);

/// All transfer syntaxes that can be written, lossless first.
struct MadeSyntax {
  const char* name;
  const char* uid;
  bool is_lossless;
  int max_bits;  ///< 8, 12 or 16
};
const std::vector<MadeSyntax>& made_syntaxes();

}  // namespace cmunet::dicom
