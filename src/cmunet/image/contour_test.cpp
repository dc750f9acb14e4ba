// SPDX-License-Identifier: Apache-2.0
#include "cmunet/image/contour.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/base/random.h"
#include "cmunet/image/nearest.h"

namespace cmunet::image {
namespace {

using Contour = std::vector<PointF>;

bool before(const PointF& a, const PointF& b) { return a.y != b.y ? a.y < b.y : a.x < b.x; }

// A contour without its start and its sense: a closed one begins at its smallest point, and both kinds run the way that
// compares smaller. Coordinates are rounded to 1e-6.
Contour normalised(Contour contour) {
  for (PointF& p : contour) p = {std::round(p.y * 1e6) / 1e6, std::round(p.x * 1e6) / 1e6};
  const auto smaller_sense = [](Contour c, std::size_t fixed) {
    Contour back = c;
    std::reverse(back.begin() + static_cast<std::ptrdiff_t>(fixed), back.end());
    return std::lexicographical_compare(back.begin(), back.end(), c.begin(), c.end(), before) ? back : c;
  };
  if (contour.front() != contour.back()) return smaller_sense(contour, 0);
  contour.pop_back();
  std::rotate(contour.begin(), std::min_element(contour.begin(), contour.end(), before), contour.end());
  contour = smaller_sense(contour, 1);
  contour.push_back(contour.front());
  return contour;
}

std::vector<Contour> normalised(const std::vector<Contour>& contours) {
  std::vector<Contour> result;
  for (const Contour& c : contours) result.push_back(normalised(c));
  std::sort(result.begin(), result.end(), [](const Contour& a, const Contour& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), before);
  });
  return result;
}

// Golden contours of scikit-image: tests/golden/make_contours.py.
TEST(FindContours, EqualsScikitImage) {
  const Json cases = load_json(std::filesystem::path(CMUNET_SOURCE_DIR) / "tests/golden/contours.json");
  ASSERT_GE(cases.size(), 12U);
  for (const Json& c : cases) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    ImageF picture(c.at("height"), c.at("width"));
    std::size_t i = 0;
    for (float& v : picture) {
      const Json& pixel = c.at("pixels").at(i++);
      v = pixel.is_null() ? std::nanf("") : pixel.get<float>();
    }
    std::vector<Contour> expected;
    for (const Json& contour : c.at("contours")) {
      expected.emplace_back();
      for (const Json& p : contour) expected.back().push_back({p.at(0), p.at(1)});
    }
    const std::vector<Contour> found = normalised(find_contours(picture, c.at("level")));
    expected = normalised(expected);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      ASSERT_EQ(found[k].size(), expected[k].size()) << k;
      for (std::size_t j = 0; j < found[k].size(); ++j) {
        ASSERT_NEAR(found[k][j].y, expected[k][j].y, 2e-6);
        ASSERT_NEAR(found[k][j].x, expected[k][j].x, 2e-6);
      }
    }
  }
}

TEST(FindContours, OpenAtTheBorderClosedInside) {
  Mask mask(5, 7);
  for (int x = 0; x < 4; ++x) mask.at(2, x) = 1;
  const auto open = find_contours(mask);
  ASSERT_EQ(open.size(), 1U);
  // The vessel lies to the right of the way.
  EXPECT_EQ(open[0].front(), (PointF{1.5, 0}));
  EXPECT_EQ(open[0].back(), (PointF{2.5, 0}));
  mask.at(2, 0) = 0;
  const auto closed = find_contours(mask);
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].front(), closed[0].back());
  EXPECT_EQ(closed[0].size(), 9U);
}

TEST(FindContours, AtAPixelsOwnLevelGivesThatPixelOnce) {
  ImageF peak(3, 3);
  peak.at(1, 1) = 1;
  for (const Contour& c : find_contours(peak, 0.0)) {
    for (std::size_t i = 1; i < c.size(); ++i) EXPECT_NE(c[i], c[i - 1]);
  }
  EXPECT_TRUE(find_contours(ImageF{}, 0.5).empty());
}

TEST(ContourPoints, SinglePixelAndBorder) {
  Mask mask(3, 3);
  mask.at(1, 1) = 1;
  const auto points = contour_points(mask);
  EXPECT_EQ(points, (std::vector<PointF>{{0.5, 1}, {1, 0.5}, {1, 1.5}, {1.5, 1}}));
  EXPECT_TRUE(contour_points(Mask(4, 4, 1)).empty());
  EXPECT_TRUE(contour_points(Mask(4, 4)).empty());
}

TEST(ContourPoints, AreThePointsOfTheContours) {
  Rng rng(8);
  for (const double density : {0.05, 0.3, 0.6}) {
    Mask mask(19, 26);
    for (auto& v : mask) v = rng.bernoulli(density) ? 1 : 0;
    Contour all;
    for (const Contour& c : find_contours(mask)) all.insert(all.end(), c.begin(), c.end());
    std::sort(all.begin(), all.end(), before);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    Contour points = contour_points(mask);
    std::sort(points.begin(), points.end(), before);
    EXPECT_EQ(points, all);
  }
}

TEST(NearestPoints, EqualBruteForce) {
  Rng rng(9);
  for (const int count : {1, 2, 7, 8, 9, 17, 300}) {
    Contour points;
    for (int i = 0; i < count; ++i) {
      // Half of them on a coarse grid: equal coordinates are common in contours.
      const double grid = i % 2 == 0 ? 1 : 0.01;
      points.push_back({std::round(rng.uniform(0, 20) / grid) * grid, std::round(rng.uniform(0, 20) / grid) * grid});
    }
    const NearestPoints nearest(points);
    for (int i = 0; i < 200; ++i) {
      const PointF query{rng.uniform(-10, 30), rng.uniform(-10, 30)};
      double best = std::numeric_limits<double>::infinity();
      for (const PointF& p : points) best = std::min(best, std::hypot(query.y - p.y, query.x - p.x));
      ASSERT_NEAR(nearest.distance_px(query), best, 1e-12) << count;
    }
    EXPECT_EQ(nearest.distance_px(points.front()), 0);
  }
  EXPECT_TRUE(std::isinf(NearestPoints({}).distance_px({0, 0})));
}

}  // namespace
}  // namespace cmunet::image
