// SPDX-License-Identifier: Apache-2.0
// libFuzzer's way into the DICOM reader.
#include "dicom_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cmunet::fuzz::read_dicom({data, size});
  return 0;
}
