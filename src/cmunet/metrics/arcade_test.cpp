// SPDX-License-Identifier: Apache-2.0
// Real vessel masks against scikit-image, SciPy and PyTorch: tests/golden/make_arcade_metrics.py.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cmunet/codec/codec.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/thinning.h"
#include "cmunet/metrics/metrics.h"

namespace cmunet::metrics {
namespace {

using image::Mask;

const std::filesystem::path kData = CMUNET_SHARED_DATA;

Mask read_mask(const std::string& name) {
  const image::Image<std::uint16_t> labels = codec::read_labels(kData / name);
  Mask mask(labels.height(), labels.width());
  auto value = mask.begin();
  for (const std::uint16_t label : labels) *value++ = label != 0 ? 1 : 0;
  return mask;
}

Mask moved_and_dilated(const Mask& mask) {
  Mask moved(mask.height(), mask.width());
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 2; x < mask.width(); ++x) moved.at(y, x) = mask.at(y, x - 2);
  }
  return image::dilate3x3(moved);
}

std::uint64_t fnv1a(const Mask& mask) {
  std::uint64_t value = 0xCBF29CE484222325;
  for (const std::uint8_t byte : mask) value = (value ^ byte) * 0x100000001B3;
  return value;
}

TEST(ArcadeMasks, EqualTheReferences) {
  if (!std::filesystem::exists(kData)) GTEST_SKIP() << "no ARCADE masks in " << kData;
  std::ifstream file(std::filesystem::path(CMUNET_SOURCE_DIR) / "tests/golden/arcade_metrics.csv");
  std::string line;
  ASSERT_TRUE(std::getline(file, line));  // column names
  int rows = 0;
  for (; std::getline(file, line); ++rows) {
    SCOPED_TRACE(line);
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, ',');) cells.push_back(cell);
    ASSERT_EQ(cells.size(), 10U);
    const Mask target = read_mask(cells[1]);
    const Mask pred = cells[0] == cells[1] ? moved_and_dilated(target) : read_mask(cells[0]);
    EXPECT_EQ(fnv1a(image::thin(pred)), std::stoull(cells[2], nullptr, 16)) << "skeletons differ";
    const ImageMetrics m = measure(pred, target);
    EXPECT_NEAR(m.dice, std::stod(cells[3]), 1e-6);
    EXPECT_NEAR(m.iou, std::stod(cells[4]), 1e-6);
    EXPECT_NEAR(m.cl_dice, std::stod(cells[5]), 1e-6);
    EXPECT_NEAR(m.soft_cl_dice, std::stod(cells[6]), 1e-6);
    EXPECT_NEAR(m.modified_hausdorff_px, std::stod(cells[7]), 1e-6);
    EXPECT_NEAR(m.pred_diameter_px, std::stod(cells[8]), 1e-6);
    EXPECT_NEAR(m.target_diameter_px, std::stod(cells[9]), 1e-6);
    EXPECT_NEAR(m.diameter_difference_px, std::abs(std::stod(cells[8]) - std::stod(cells[9])), 1e-6);
  }
  EXPECT_GE(rows, 16);
}

}  // namespace
}  // namespace cmunet::metrics
