// SPDX-License-Identifier: Apache-2.0
// Breaks of the centre line: counted by hand on small drawings, and by a slow twin on random masks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/thinning.h"
#include "cmunet/metrics/metrics.h"

namespace cmunet::metrics {
namespace {

using image::Mask;

// '#' vessel in both, '-' in the target only, '+' in the prediction only.
struct Drawing {
  Mask pred, target;
};
Drawing draw(const std::vector<std::string>& rows) {
  const int height = static_cast<int>(rows.size()), width = static_cast<int>(rows[0].size());
  Drawing d{Mask(height, width), Mask(height, width)};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const char c = rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)];
      d.pred.at(y, x) = c == '#' || c == '+' ? 1 : 0;
      d.target.at(y, x) = c == '#' || c == '-' ? 1 : 0;
    }
  }
  return d;
}

double breaks(const std::vector<std::string>& rows) {
  const Drawing d = draw(rows);
  return breaks_per_100px(d.pred, d.target);
}

TEST(Breaks, CountGapsAndNotMissingEnds) {
  EXPECT_DOUBLE_EQ(breaks({"....................", "####################", "...................."}), 0);
  // Centre lines of 20 px: a break is 5 per 100 px. Thin lines are their own centre line.
  EXPECT_DOUBLE_EQ(breaks({"....................", "#####---############", "...................."}), 5);
  EXPECT_DOUBLE_EQ(breaks({"....................", "---##--####--##-----", "...................."}), 10);
  EXPECT_DOUBLE_EQ(breaks({"....................", "---############-----", "...................."}), 0);
}

TEST(Breaks, NoneWhereThePredictionGoesAround) {
  EXPECT_DOUBLE_EQ(breaks({"....+++.............", "####---#############", "...................."}), 0);
  EXPECT_DOUBLE_EQ(breaks({"....+.+.............", "####---#############", "...................."}), 5);
}

TEST(Breaks, AMissingBifurcationPartsAllItsBranches) {
  const std::vector<std::string> rows{"#.........#", ".#.......#.", "..#.....#..", "...-...-...", "....-.-....",
                                      ".....-.....", ".....-.....", ".....#.....", ".....#.....", "....+#+...."};
  const Drawing d = draw(rows);
  const Mask centreline = image::thin(d.target);
  const auto length = std::count(centreline.begin(), centreline.end(), std::uint8_t{1});
  EXPECT_DOUBLE_EQ(breaks_per_100px(d.pred, d.target), 200.0 / static_cast<double>(length));  // three parts
}

TEST(Breaks, UndefinedWhenNothingWasFound) {
  Mask line(5, 12), elsewhere(5, 12);
  for (int x = 2; x < 10; ++x) line.at(2, x) = elsewhere.at(4, x) = 1;
  EXPECT_TRUE(std::isnan(breaks_per_100px(Mask(5, 12), line)));
  EXPECT_TRUE(std::isnan(breaks_per_100px(elsewhere, line)));
  EXPECT_TRUE(std::isnan(breaks_per_100px(line, Mask(5, 12))));
  EXPECT_THROW(breaks_per_100px(Mask(4, 4), Mask(4, 5)), Error);
}

// Labels by repeated flooding: every pixel takes the largest number near it until nothing changes.
image::Image<int> flooded(const Mask& mask) {
  image::Image<int> labels(mask.height(), mask.width());
  int next = 0;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) labels.at(y, x) = mask.at(y, x) != 0 ? ++next : 0;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (int y = 0; y < mask.height(); ++y) {
      for (int x = 0; x < mask.width(); ++x) {
        if (mask.at(y, x) == 0) continue;
        for (int v = std::max(0, y - 1); v <= std::min(mask.height() - 1, y + 1); ++v) {
          for (int u = std::max(0, x - 1); u <= std::min(mask.width() - 1, x + 1); ++u) {
            if (labels.at(v, u) <= labels.at(y, x)) continue;
            labels.at(y, x) = labels.at(v, u);
            changed = true;
          }
        }
      }
    }
  }
  return labels;
}

double brute_breaks(const Mask& pred, const Mask& target) {
  const Mask line = image::thin(target);
  Mask missed(line.height(), line.width());
  double length = 0, found = 0;
  for (int y = 0; y < line.height(); ++y) {
    for (int x = 0; x < line.width(); ++x) {
      length += line.at(y, x);
      found += line.at(y, x) & pred.at(y, x);
      missed.at(y, x) = static_cast<std::uint8_t>(line.at(y, x) & (1 - pred.at(y, x)));
    }
  }
  const image::Image<int> parts = flooded(pred), stretches = flooded(missed);
  std::set<std::pair<int, int>> contacts;  // stretch, part
  std::set<int> touching;
  for (int y = 0; y < line.height(); ++y) {
    for (int x = 0; x < line.width(); ++x) {
      for (int v = 0; v < line.height(); ++v) {
        for (int u = std::max(0, x - 1); u <= std::min(line.width() - 1, x + 1); ++u) {
          const bool near = std::abs(v - y) <= 1;
          if (!near || missed.at(y, x) == 0 || line.at(v, u) == 0 || pred.at(v, u) == 0) continue;
          contacts.emplace(stretches.at(y, x), parts.at(v, u));
          touching.insert(stretches.at(y, x));
        }
      }
    }
  }
  if (found == 0) return std::nan("");
  return 100 * static_cast<double>(contacts.size() - touching.size()) / length;  // k − 1 of each stretch
}

TEST(Breaks, EqualASlowTwinOnRandomMasks) {
  int broken = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    Mask target(40, 50), pred(40, 50);
    for (auto& v : target) v = rng.bernoulli(0.55) ? 1 : 0;
    target = image::majority3x3(image::majority3x3(target));
    std::transform(target.begin(), target.end(), pred.begin(),
                   [&](std::uint8_t v) -> std::uint8_t { return rng.bernoulli(v != 0 ? 0.55 : 0.05) ? 1 : 0; });
    const double expected = brute_breaks(pred, target);
    EXPECT_NEAR(breaks_per_100px(pred, target), expected, 1e-9) << seed;
    broken += expected > 0 ? 1 : 0;
  }
  EXPECT_GT(broken, 10);
}

}  // namespace
}  // namespace cmunet::metrics
