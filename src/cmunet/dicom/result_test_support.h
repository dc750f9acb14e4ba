// SPDX-License-Identifier: Apache-2.0
// For tests: the source of a result, and other people's programs that judge what was written.
#pragma once

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/dicom/result_object.h"
#include "cmunet/image/image.h"

namespace cmunet::dicom {

/// A run as a cath lab would name it; there are no pixels behind it.
inline ResultSource test_source(int frames, int height, int width) {
  ResultSource source;
  XaHeader& header = source.header;
  header.frames = frames, header.height = height, header.width = width;
  header.modality = "XA";
  header.source = {"1.2.840.10008.5.1.4.1.1.12.1", "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2",
                   "1.2.826.0.1.3680043.8.498.3", "1.2.840.10008.1.2.1"};
  source.patient = {"Phantom^Tube", "P-17", "19500102", "F", "S1", "20260105", "101500", "ACC-0042", "Ref^Erring"};
  return source;
}

/// What a shell command prints, standard error included.
inline std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>&1").c_str(), "r"), pclose);
  std::string text;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get())) text.append(buffer.data(), n);
  return text;
}

inline bool has_program(const std::string& name) { return !output_of("command -v " + name).empty(); }

/// Debian's pydicom belongs to Debian's Python, whatever else is first in PATH.
inline bool has_pydicom() { return output_of("/usr/bin/python3 -c 'import pydicom, numpy'").empty(); }

/// The lines in which dciodvfy complains of an error; its warnings are left out.
inline std::vector<std::string> dciodvfy_errors(const std::filesystem::path& file) {
  std::vector<std::string> errors;
  std::istringstream lines(output_of("dciodvfy " + file.string()));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Error")) errors.push_back(line);
  }
  return errors;
}

/// What tests/interop/<script> prints about a file.
inline std::string run_python(const std::string& script, const std::filesystem::path& file) {
  return output_of(concat("PYTHONIOENCODING=utf-8 /usr/bin/python3 ", CMUNET_SOURCE_DIR, "/tests/interop/", script, " ",
                          file.string()));
}

/// A mask as rows of 0 and 1.
inline std::string as_text(const image::Mask& mask) {
  std::string text;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) text += mask.at(y, x) != 0 ? '1' : '0';
    text += '\n';
  }
  return text;
}

}  // namespace cmunet::dicom
