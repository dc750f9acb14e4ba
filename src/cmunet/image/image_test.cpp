// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/image/components.h"
#include "cmunet/image/distance.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/thinning.h"

namespace cmunet::image {
namespace {

Mask mask_of(const std::vector<std::string>& rows) {
  Mask mask(static_cast<int>(rows.size()), static_cast<int>(rows.front().size()));
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      mask.at(y, x) = rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] == '#' ? 1 : 0;
    }
  }
  return mask;
}

// Blobs: a random walk painted with a 3×3 brush.
Mask random_mask(int height, int width, std::uint64_t seed) {
  Rng rng(seed);
  Mask mask(height, width);
  int y = height / 2, x = width / 2;
  for (int i = 0; i < 2 * (height + width); ++i) {
    y = std::clamp(y + static_cast<int>(rng.integer(-2, 2)), 0, height - 1);
    x = std::clamp(x + static_cast<int>(rng.integer(-2, 2)), 0, width - 1);
    mask.at(y, x) = 1;
  }
  return dilate3x3(mask);
}

TEST(Morphology, ThreeByThree) {
  const Mask dot = mask_of({".....", ".....", "..#..", ".....", "....."});
  EXPECT_EQ(dilate3x3(dot), mask_of({".....", ".###.", ".###.", ".###.", "....."}));
  EXPECT_EQ(erode3x3(dilate3x3(dot)), dot);
  EXPECT_EQ(majority3x3(dot), Mask(5, 5));
  const Mask hole = mask_of({"#####", "#####", "##.##", "#####", "#####"});
  EXPECT_EQ(majority3x3(hole).at(2, 2), 1);
  EXPECT_EQ(majority3x3(hole).at(0, 0), 0);  // a corner has four pixels in sight
}

TEST(Thinning, KnownShapes) {
  const Mask line = mask_of({"........", ".######.", "........"});
  EXPECT_EQ(thin(line), line);
  EXPECT_EQ(thin(Mask(5, 5)), Mask(5, 5));
  // The documented example of scikit-image: an ellipse leaves four pixels of its long axis.
  const Mask ellipse = mask_of({"...###...", "..#####..", "..#####..", "..#####..", "..#####..", "..#####..",
                                "..#####..", "..#####..", "...###..."});
  Mask expected(9, 9);
  for (int y = 3; y <= 6; ++y) expected.at(y, 4) = 1;
  EXPECT_EQ(thin(ellipse), expected);
}

// Golden skeletons of scikit-image (tests/golden/make_skeletons.py): rows of a text file, mask and skeleton.
TEST(Thinning, EqualsScikitImageBitForBit) {
  std::ifstream in(std::string(CMUNET_SOURCE_DIR) + "/tests/golden/skeletons.txt");
  ASSERT_TRUE(in.good());
  int cases = 0;
  for (int height = 0, width = 0; in >> height >> width; ++cases) {
    const auto read = [&] {
      std::vector<std::string> rows(static_cast<std::size_t>(height));
      for (auto& row : rows) in >> row;
      return mask_of(rows);
    };
    const Mask mask = read();
    const Mask skeleton = read();
    EXPECT_EQ(thin(mask), skeleton) << "case " << cases;
  }
  EXPECT_GE(cases, 20);
}

TEST(Thinning, KeepsEveryComponentAndStaysInside) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Mask mask = random_mask(40, 50, seed);
    const Mask skeleton = thin(mask);
    EXPECT_EQ(connected_components(skeleton).count, connected_components(mask).count);
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 50; ++x) EXPECT_LE(skeleton.at(y, x), mask.at(y, x));
    }
  }
}

TEST(ThinConnected, KeepsEveryComponentAndStaysInside) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Mask mask = random_mask(40, 50, seed);
    const Mask skeleton = thin_connected(mask);
    EXPECT_EQ(connected_components(skeleton).count, connected_components(mask).count);
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 50; ++x) EXPECT_LE(skeleton.at(y, x), mask.at(y, x));
    }
  }
}

TEST(ThinConnected, KeepsTheLengthOfDiagonals) {
  for (int width = 1; width <= 8; ++width) {  // in pixels of a row
    Mask diagonal(60, 60);
    for (int y = 5; y < 45; ++y) {
      for (int x = y; x < y + width; ++x) diagonal.at(y, x) = 1;
    }
    const Mask skeleton = thin_connected(diagonal);
    EXPECT_GE(std::count(skeleton.begin(), skeleton.end(), std::uint8_t{1}), 40 - width) << width;
  }
}

TEST(SquaredDistance, EqualsBruteForce) {
  for (const std::uint64_t seed : {4U, 5U}) {
    Rng rng(seed);
    Mask mask(23, 31);
    for (auto& v : mask) v = rng.bernoulli(0.03) ? 1 : 0;
    const auto squared = squared_distance_to(mask);
    for (int y = 0; y < 23; ++y) {
      for (int x = 0; x < 31; ++x) {
        std::int64_t best = kNoPixel;
        for (int v = 0; v < 23; ++v) {
          for (int u = 0; u < 31; ++u) {
            if (mask.at(v, u) != 0) best = std::min<std::int64_t>(best, (v - y) * (v - y) + (u - x) * (u - x));
          }
        }
        ASSERT_EQ(squared.at(y, x), best) << y << "," << x;
      }
    }
  }
  EXPECT_EQ(squared_distance_to(Mask(3, 3)).at(1, 1), kNoPixel);
}

TEST(DistanceTransform, MeasuresToTheBackground) {
  const ImageF distance = distance_transform(mask_of({"......", ".####.", ".####.", ".####.", "......"}));
  EXPECT_FLOAT_EQ(distance.at(0, 0), 0.0F);
  EXPECT_FLOAT_EQ(distance.at(1, 1), 1.0F);
  EXPECT_FLOAT_EQ(distance.at(2, 2), 2.0F);
  EXPECT_TRUE(std::isinf(distance_transform(Mask(2, 2, 1)).at(0, 0)));
}

TEST(Components, FourAndEightConnectivity) {
  const Mask mask = mask_of({"#..#", ".#..", "...#", "..##"});
  const Components eight = connected_components(mask, 8);
  EXPECT_EQ(eight.count, 3);
  EXPECT_EQ(eight.areas, (std::vector<std::int64_t>{2, 1, 3}));
  EXPECT_EQ(connected_components(mask, 4).count, 4);
  EXPECT_EQ(eight.labels.at(3, 2), 3);
  EXPECT_THROW(connected_components(mask, 6), Error);
}

TEST(Image, RefusesImpossibleSizes) {
  EXPECT_THROW(Mask(-1, 4), Error);
  EXPECT_THROW(Mask(1 << 16, 1 << 16), Error);
}

}  // namespace
}  // namespace cmunet::image
