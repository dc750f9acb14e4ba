// SPDX-License-Identifier: Apache-2.0
// For tests: a small XA object with identifiers that must show up nowhere, made byte by byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cmunet/base/file.h"
#include "cmunet/pacs/received_file.h"

namespace cmunet::pacs {

inline const std::string kXaClass = "1.2.840.10008.5.1.4.1.1.12.1";
inline const std::string kExplicitLittleEndian = "1.2.840.10008.1.2.1";
inline const std::string kJpegLossless = "1.2.840.10008.1.2.4.70";
inline const std::string kPlantedName = "PLANTED^PATIENT";

/// An element in explicit little endian.
inline std::string element(std::uint32_t group, std::uint32_t number, const std::string& vr, std::string value) {
  if (value.size() % 2 != 0) value.push_back(vr == "UI" || vr == "OB" ? '\0' : ' ');
  const auto bytes = [](std::size_t v, int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text.push_back(static_cast<char>(v >> (8 * i) & 0xFF));
    return text;
  };
  const bool is_long = vr == "OB" || vr == "OW" || vr == "SQ";
  return bytes(group, 2) + bytes(number, 2) + vr + (is_long ? bytes(0, 2) : "") + bytes(value.size(), is_long ? 4 : 2) +
         value;
}

inline std::string us(int value) { return {static_cast<char>(value & 0xFF), static_cast<char>(value >> 8 & 0xFF)}; }

/// One frame of `side`² bytes.
inline std::string sample_data_set(const std::string& uid, int side) {
  return element(0x08, 0x16, "UI", kXaClass) + element(0x08, 0x18, "UI", uid) + element(0x08, 0x60, "CS", "XA") +
         element(0x10, 0x10, "PN", kPlantedName) + element(0x10, 0x20, "LO", "PLANTED-ID") +
         element(0x20, 0x0D, "UI", "1.2.3.4") + element(0x20, 0x0E, "UI", "1.2.3.4.5") +
         element(0x28, 0x02, "US", us(1)) + element(0x28, 0x04, "CS", "MONOCHROME2") +
         element(0x28, 0x10, "US", us(side)) + element(0x28, 0x11, "US", us(side)) + element(0x28, 0x100, "US", us(8)) +
         element(0x28, 0x101, "US", us(8)) + element(0x28, 0x102, "US", us(7)) + element(0x28, 0x103, "US", us(0)) +
         element(0x7FE0, 0x10, "OB",
                 std::string(static_cast<std::size_t>(side) * static_cast<std::size_t>(side), '\7'));
}

inline std::filesystem::path write_sample(const std::filesystem::path& folder, const std::string& uid, int side = 16) {
  const std::filesystem::path file = folder / (uid + ".dcm");
  write_file_atomic(file, file_header({kXaClass, uid, kExplicitLittleEndian}) + sample_data_set(uid, side));
  return file;
}

}  // namespace cmunet::pacs
