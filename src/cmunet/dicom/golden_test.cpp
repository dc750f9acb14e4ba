// SPDX-License-Identifier: Apache-2.0
// Objects that pydicom wrote against what pydicom and NumPy read: tests/golden/make_dicom_values.py.
#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <filesystem>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

std::string bytes_of(const std::string& hexadecimal) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(hexadecimal.data() + i, hexadecimal.data() + i + 2, value, 16);
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

// Largest difference between a frame and the numbers of a case.
double largest_error(const image::ImageF& frame, const Json& expected) {
  EXPECT_EQ(frame.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(frame.size(), expected.size()); ++i) {
    const double error = std::abs(static_cast<double>(frame.data()[i]) - expected[i].get<double>());
    if (std::isnan(error)) return error;  // which the maximum would pass over
    largest = std::max(largest, error);
  }
  return largest;
}

TEST(Golden, ValuesAndPicturesAreThoseOfPydicom) {
  const ScratchFolder folder;
  const Json cases = load_json(std::filesystem::path(CMUNET_SOURCE_DIR) / "tests/golden/dicom_values.json");
  ASSERT_GE(cases.size(), 60U);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.at("name"));
    write_file_atomic(folder / "golden.dcm", bytes_of(golden.at("file")));
    const XaRun run(folder / "golden.dcm");
    ASSERT_EQ(run.header().height, golden.at("height"));
    ASSERT_EQ(run.header().width, golden.at("width"));
    ASSERT_EQ(static_cast<std::size_t>(run.header().frames), golden.at("values").size());
    for (int f = 0; f < run.header().frames; ++f) {
      const auto k = static_cast<std::size_t>(f);
      EXPECT_LE(largest_error(run.stored_frame(f), golden["values"][k]), 2e-3) << "frame " << f;
      if (!golden["shown"].is_null()) {
        EXPECT_LE(largest_error(run.frame(f), golden["shown"][k]), 1e-3) << "shown frame " << f;
      }
    }
  }
}

}  // namespace
}  // namespace cmunet::dicom
