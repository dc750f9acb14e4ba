// SPDX-License-Identifier: Apache-2.0
// For tests of `cmunet measure`: a picture with a vessel of known width and a catheter, and the program to measure it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dicom/made_run.h"
#include "run_program.h"

namespace cmunet {
namespace fs = std::filesystem;

inline constexpr int kHeight = 96, kWidth = 160;
inline constexpr double kVessel_px = 12, kNarrow_px = 6;  // a stenosis of 50 %

// A dark vessel along row 60, narrowed in the middle, and a catheter of 9 px along row 20.
inline double depth(int y, int x) {
  const double width = std::abs(x - 80) < 15 ? kNarrow_px : kVessel_px;
  const bool is_vessel = x >= 15 && x < 145 && std::abs(y - 59.5) < width / 2;
  return is_vessel || std::abs(y - 20) <= 4 ? 1 : 0;
}
inline int grey(int y, int x) { return static_cast<int>(160 - 90 * depth(y, x)) + (y * 7 + x * 3) % 4; }

class MeasureCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(::testing::TempDir()) / concat("cmunet_measure_", test->name());
    fs::remove_all(root);
    fs::create_directories(root);
    image::Image<std::uint8_t> picture(kHeight, kWidth), mask(kHeight, kWidth);
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        picture.at(y, x) = static_cast<std::uint8_t>(grey(y, x));
        mask.at(y, x) = y > 40 && depth(y, x) > 0 ? 255 : 0;
      }
    }
    codec::write_png(root / "picture.png", picture);
    codec::write_png(root / "mask.png", mask);
  }
  void TearDown() override { fs::remove_all(root); }

  Outcome program(const std::string& arguments) const { return run_program(CMUNET_PROGRAM, arguments, root); }

  // The picture and its mask, whose walls are exact; the picture's profiles are no blurred vessel's.
  Outcome measure(const std::string& flags) const {
    return program(concat("measure ", root / "picture.png", " --mask ", root / "mask.png",
                          " --walls mask --force --out ", root / "out", " ", flags));
  }

  // What was measured with the flags, which must succeed.
  Json measured(const std::string& flags) const {
    const Outcome outcome = measure(flags);
    EXPECT_EQ(outcome.status, 0) << flags << "\n" << outcome.err;
    return outcome.status == 0 ? load_json(root / "out/measurements.json") : Json();
  }

  // A run of one frame with the vessel, and a header with `attributes`, measured by its mask.
  Json measured_run(std::vector<std::string> attributes, const std::string& flags = "") const {
    dicom::MadeRun run;
    run.frames = 1, run.height = kHeight, run.width = kWidth;
    run.cell = [](int, int y, int x, int) { return grey(y, x); };
    run.attributes = std::move(attributes);
    dicom::write_run(run, root / "run.dcm");
    const Outcome outcome = program(concat("measure ", root / "run.dcm", " --mask ", root / "mask.png",
                                           " --walls mask --force --out ", root / "out", " ", flags));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? load_json(root / "out/measurements.json") : Json();
  }

  fs::path root;
};

inline const Json& minimal(const Json& m) { return m["segments"][0]["narrowing"]["minimal_diameter"]; }
inline double half_width(const Json& interval) {
  return (interval["high"].get<double>() - interval["low"].get<double>()) / 2;
}

}  // namespace cmunet
