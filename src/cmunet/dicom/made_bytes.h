// SPDX-License-Identifier: Apache-2.0
// For tests and fuzzing: DICOM data sets put together byte by byte, so that they may lie about themselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cmunet::dicom {

inline constexpr std::uint32_t kOpenLength = 0xffffffff;

/// `size` bytes of a number, little endian.
inline std::string little(std::uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

/// Tag (group and element in one number) and length of an attribute in explicit little endian; `length` is believed.
inline std::string made_head(std::uint32_t tag, std::string_view vr, std::uint32_t length) {
  const bool is_long = std::string_view("OB OD OF OL OV OW SQ SV UC UN UR UT UV").find(vr) != std::string_view::npos;
  const std::string begin = little(tag >> 16, 2) + little(tag & 0xffff, 2) + std::string(vr);
  return begin + (is_long ? little(0, 2) + little(length, 4) : little(length, 2));
}

/// An attribute whose length is right; odd values are padded.
inline std::string made_element(std::uint32_t tag, std::string_view vr, std::string value) {
  if (value.size() % 2 != 0) value.push_back(vr == "UI" || vr == "OB" ? '\0' : ' ');
  return made_head(tag, vr, static_cast<std::uint32_t>(value.size())) + value;
}

/// Tag and length of an item or delimiter, or of an attribute in implicit little endian.
inline std::string made_item(std::uint32_t tag, std::uint32_t length) {
  return little(tag >> 16, 2) + little(tag & 0xffff, 2) + little(length, 4);
}
inline constexpr std::uint32_t kItem = 0xfffee000, kItemEnd = 0xfffee00d, kSequenceEnd = 0xfffee0dd;

/// Preamble and meta header for a data set that follows.
inline std::string made_file_head(std::string_view transfer_syntax) {
  return std::string(128, '\0') + "DICM" + made_element(0x00020010, "UI", std::string(transfer_syntax));
}

/// The attributes up to the pixel data of a grey run; sizes as UL, where they hold more than 16 bits.
inline std::string made_run_head(std::uint32_t rows, std::uint32_t columns, std::string_view frames) {
  return made_element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.12.1") + made_element(0x00080018, "UI", "1.2.3") +
         made_element(0x00080060, "CS", "XA") + made_element(0x00280002, "US", little(1, 2)) +
         made_element(0x00280004, "CS", "MONOCHROME2") + made_element(0x00280008, "IS", std::string(frames)) +
         made_element(0x00280010, "UL", little(rows, 4)) + made_element(0x00280011, "UL", little(columns, 4)) +
         made_element(0x00280100, "US", little(8, 2)) + made_element(0x00280101, "US", little(8, 2)) +
         made_element(0x00280102, "US", little(7, 2)) + made_element(0x00280103, "US", little(0, 2));
}

}  // namespace cmunet::dicom
