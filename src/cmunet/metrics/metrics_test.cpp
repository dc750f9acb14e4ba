// SPDX-License-Identifier: Apache-2.0
// Every metric against a twin written straight from its definition, on random and on awkward masks.
#include "cmunet/metrics/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/thinning.h"
#include "cmunet/metrics/evaluation.h"

namespace cmunet::metrics {
namespace {

using image::Mask;

Mask wandering_vessel(int height, int width, std::uint64_t seed, int thickness) {
  Rng rng(seed);
  Mask mask(height, width);
  double y = height / 2.0, x = 0, angle = 0;
  while (x < width) {
    angle = 0.8 * angle + 0.3 * rng.normal();
    y = std::clamp(y + std::sin(angle), 0.0, height - 1.0);
    x += std::max(0.2, std::cos(angle));
    if (x < width) mask.at(static_cast<int>(y), static_cast<int>(x)) = 1;
  }
  for (int i = 0; i < thickness; ++i) mask = image::dilate3x3(mask);
  return mask;
}

struct Pair {
  const char* name;
  Mask pred, target;
};

Mask with_pixels(int height, int width, const std::vector<std::pair<int, int>>& pixels) {
  Mask mask(height, width);
  for (const auto& [y, x] : pixels) mask.at(y, x) = 1;
  return mask;
}

std::vector<Pair> cases() {
  return {
      {"vessels", wandering_vessel(40, 60, 1, 2), wandering_vessel(40, 60, 2, 1)},
      {"same", wandering_vessel(40, 60, 3, 2), wandering_vessel(40, 60, 3, 2)},
      {"thin against thick", wandering_vessel(40, 60, 4, 0), wandering_vessel(40, 60, 4, 3)},
      {"single pixels", with_pixels(9, 9, {{2, 2}}), with_pixels(9, 9, {{6, 7}})},
      {"one-pixel line", with_pixels(7, 9, {{3, 1}, {3, 2}, {3, 3}, {3, 4}}), with_pixels(7, 9, {{4, 2}, {4, 3}, {4, 4}})},
      {"touching the border", with_pixels(5, 5, {{0, 0}, {0, 1}, {1, 0}}), with_pixels(5, 5, {{4, 4}, {0, 0}})},
      {"empty prediction", Mask(9, 9), with_pixels(9, 9, {{4, 4}})},
      {"empty target", with_pixels(9, 9, {{4, 4}}), Mask(9, 9)},
      {"both empty", Mask(9, 9), Mask(9, 9)},
      {"both full", Mask(9, 9, 1), Mask(9, 9, 1)},
  };
}

// Contour points by walking every 2×2 cell of marching squares and interpolating along its edges.
std::vector<std::pair<double, double>> brute_contour(const Mask& m) {
  std::vector<std::pair<double, double>> points;
  const auto add_between = [&](int y0, int x0, int y1, int x1) {
    const double a = m.at(y0, x0) != 0, b = m.at(y1, x1) != 0;
    if (a == b) return;
    const double t = (0.5 - a) / (b - a);
    const std::pair<double, double> p{y0 + t * (y1 - y0), x0 + t * (x1 - x0)};
    for (const auto& q : points) {
      if (q == p) return;
    }
    points.push_back(p);
  };
  for (int y = 0; y + 1 < m.height(); ++y) {
    for (int x = 0; x + 1 < m.width(); ++x) {
      add_between(y, x, y, x + 1);
      add_between(y, x, y + 1, x);
      add_between(y + 1, x, y + 1, x + 1);
      add_between(y, x + 1, y + 1, x + 1);
    }
  }
  return points;
}

double brute_hausdorff(const Mask& pred, const Mask& target) {
  const auto sum_of = [](const Mask& m) {
    int sum = 0;
    for (const auto v : m) sum += v;
    return sum;
  };
  if (sum_of(pred) == 0 && sum_of(target) == 0) return 0;
  const auto a = brute_contour(pred), b = brute_contour(target);
  if (a.empty() || b.empty()) return std::nan("");
  const auto directed = [](const auto& from, const auto& to) {
    double sum = 0;
    for (const auto& p : from) {
      double best = std::numeric_limits<double>::infinity();
      for (const auto& q : to) best = std::min(best, std::hypot(p.first - q.first, p.second - q.second));
      sum += best;
    }
    return sum / static_cast<double>(from.size());
  };
  return std::max(directed(a, b), directed(b, a));
}

double brute_diameter(Mask m) {
  for (int y = 0; y < m.height(); ++y) {
    for (int x = 0; x < m.width(); ++x) {
      if (y % (m.height() - 1) == 0 || x % (m.width() - 1) == 0) m.at(y, x) = 0;
    }
  }
  const auto contour = brute_contour(m);
  const Mask skeleton = image::thin(m);
  double sum = 0;
  int n = 0;
  for (int y = 0; y < m.height(); ++y) {
    for (int x = 0; x < m.width(); ++x) {
      if (skeleton.at(y, x) == 0) continue;
      double best = std::numeric_limits<double>::infinity();
      for (const auto& p : contour) best = std::min(best, std::hypot(p.first - y, p.second - x));
      sum += best;
      ++n;
    }
  }
  return n == 0 ? std::nan("") : 2 * sum / n;
}

// The soft skeleton in floating point, literally as its formula says.
std::vector<double> brute_soft_skeleton(const Mask& m) {
  const int h = m.height(), w = m.width();
  const auto at = [&](const std::vector<double>& v, int y, int x, double outside) {
    return y < 0 || x < 0 || y >= h || x >= w ? outside : v[static_cast<std::size_t>(y * w + x)];
  };
  const auto erode = [&](const std::vector<double>& v) {
    std::vector<double> r;
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        double vertical = 1e9, horizontal = 1e9;
        for (int d = -1; d <= 1; ++d) {
          vertical = std::min(vertical, at(v, y + d, x, 1e9));
          horizontal = std::min(horizontal, at(v, y, x + d, 1e9));
        }
        r.push_back(std::min(vertical, horizontal));
      }
    }
    return r;
  };
  const auto dilate = [&](const std::vector<double>& v) {
    std::vector<double> r;
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        double best = -1e9;
        for (int dy = -1; dy <= 1; ++dy) {
          for (int dx = -1; dx <= 1; ++dx) best = std::max(best, at(v, y + dy, x + dx, -1e9));
        }
        r.push_back(best);
      }
    }
    return r;
  };
  std::vector<double> img(m.begin(), m.end());
  std::vector<double> opened = dilate(erode(img)), skeleton;
  for (std::size_t i = 0; i < img.size(); ++i) skeleton.push_back(std::max(0.0, img[i] - opened[i]));
  for (int j = 0; j < 10; ++j) {
    img = erode(img);
    opened = dilate(erode(img));
    for (std::size_t i = 0; i < img.size(); ++i) {
      const double delta = std::max(0.0, img[i] - opened[i]);
      skeleton[i] += std::max(0.0, delta - skeleton[i] * delta);
    }
  }
  return skeleton;
}

double brute_soft_cl_dice(const Mask& pred, const Mask& target) {
  const auto share = [](const std::vector<double>& skeleton, const Mask& mask) {
    double both = 0, all = 0;
    auto m = mask.begin();
    for (const double s : skeleton) {
      both += s * *m++;
      all += s;
    }
    return (both + 1) / (all + 1);
  };
  const double p = share(brute_soft_skeleton(pred), target), s = share(brute_soft_skeleton(target), pred);
  return 2 * p * s / (p + s);
}

void expect_same(double value, double expected, const char* name) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(value)) << name << ": " << value;
  } else {
    EXPECT_NEAR(value, expected, 1e-6) << name;
  }
}

TEST(Metrics, EqualTheirBruteForceTwins) {
  for (const Pair& c : cases()) {
    std::int64_t both = 0, either = 0, sum = 0;
    for (int y = 0; y < c.pred.height(); ++y) {
      for (int x = 0; x < c.pred.width(); ++x) {
        both += c.pred.at(y, x) & c.target.at(y, x);
        either += c.pred.at(y, x) | c.target.at(y, x);
        sum += c.pred.at(y, x) + c.target.at(y, x);
      }
    }
    const auto number = [](std::int64_t n) { return static_cast<double>(n); };
    expect_same(dice(c.pred, c.target), sum == 0 ? 1 : 2 * number(both) / number(sum), c.name);
    expect_same(iou(c.pred, c.target), sum == 0 ? 1 : number(both) / number(either), c.name);
    expect_same(modified_hausdorff_px(c.pred, c.target), brute_hausdorff(c.pred, c.target), c.name);
    expect_same(diameter_difference_px(c.pred, c.target), std::abs(brute_diameter(c.pred) - brute_diameter(c.target)),
                c.name);
    expect_same(soft_cl_dice(c.pred, c.target), brute_soft_cl_dice(c.pred, c.target), c.name);
  }
}

TEST(Metrics, MeasureGivesTheSameAsEachFunction) {
  const Pair c = cases().front();
  const ImageMetrics m = measure(c.pred, c.target);
  EXPECT_EQ(m.counts, count(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.dice, dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.cl_dice, cl_dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.modified_hausdorff_px, modified_hausdorff_px(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.diameter_difference_px, diameter_difference_px(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.soft_cl_dice, soft_cl_dice(c.pred, c.target));
}

TEST(ClDice, ClosedForms) {
  // A line of 8 and its left half: all of pred's skeleton lies inside, half of target's.
  Mask line(5, 12), half(5, 12);
  for (int x = 2; x < 10; ++x) line.at(2, x) = 1;
  for (int x = 2; x < 6; ++x) half.at(2, x) = 1;
  EXPECT_NEAR(cl_dice(half, line), 2 * 1 * 0.5 / 1.5, 1e-12);
  EXPECT_DOUBLE_EQ(cl_dice(line, line), 1);
  EXPECT_DOUBLE_EQ(cl_dice(Mask(5, 12), line), 0);
  EXPECT_DOUBLE_EQ(cl_dice(Mask(5, 12), Mask(5, 12)), 1);
}

TEST(Metrics, FlipsAndSwapsLeaveThemUnchanged) {
  const Pair c = cases().front();
  const auto flipped = [](const Mask& m) {
    Mask r(m.height(), m.width());
    for (int y = 0; y < m.height(); ++y) {
      for (int x = 0; x < m.width(); ++x) r.at(y, x) = m.at(m.height() - 1 - y, x);
    }
    return r;
  };
  EXPECT_DOUBLE_EQ(dice(c.pred, c.target), dice(c.target, c.pred));
  EXPECT_NEAR(modified_hausdorff_px(c.pred, c.target), modified_hausdorff_px(flipped(c.target), flipped(c.pred)), 1e-9);
}

TEST(ModifiedHausdorff, OfAShiftedSquareIsAtMostTheShift) {
  Mask a(40, 40), b(40, 40);
  for (int y = 10; y < 30; ++y) {
    for (int x = 5; x < 25; ++x) a.at(y, x) = b.at(y, x + 6) = 1;
  }
  EXPECT_GT(modified_hausdorff_px(a, b), 0);
  EXPECT_LE(modified_hausdorff_px(a, b), 6);
  EXPECT_DOUBLE_EQ(modified_hausdorff_px(a, a), 0);
}

TEST(Metrics, RefuseMasksOfDifferentSize) {
  EXPECT_THROW(dice(Mask(4, 4), Mask(4, 5)), Error);
  EXPECT_THROW(cl_dice(Mask(4, 4), Mask(4, 5)), Error);
  EXPECT_THROW(measure(Mask(4, 4), Mask(5, 4)), Error);
}

TEST(Evaluation, CountsUndefinedValuesAndPoolsCounts) {
  std::vector<ImageResult> images;
  for (const Pair& c : cases()) images.push_back({c.name, measure(c.pred, c.target)});
  const Evaluation e = summarise(images, 1);
  EXPECT_EQ(e.dice.n, 10);
  EXPECT_EQ(e.dice.undefined, 0);
  EXPECT_EQ(e.modified_hausdorff_px.undefined, 3);  // the two with one empty mask, and the full one without a contour
  EXPECT_EQ(e.modified_hausdorff_px.n + e.modified_hausdorff_px.undefined, 10);
  Counts sum;
  double mean = 0;
  for (const auto& image : images) {
    sum += image.metrics.counts;
    mean += image.metrics.dice / 10;
  }
  EXPECT_DOUBLE_EQ(e.pooled_dice, dice(sum));
  EXPECT_NEAR(e.dice.mean, mean, 1e-12);
  EXPECT_NEAR(e.pooled_iou, e.pooled_dice / (2 - e.pooled_dice), 1e-12);
  EXPECT_LE(e.dice.ci95[0], e.dice.mean);
  EXPECT_GE(e.dice.ci95[1], e.dice.mean);
  EXPECT_THROW(summarise({}, 1), Error);
}

TEST(Evaluation, JsonHasNullWhereAValueIsUndefined) {
  const Pair empty = cases()[6];
  const Json json = to_json(summarise({{"a", measure(empty.pred, empty.target)}}, 1));
  EXPECT_TRUE(json["images"][0]["modified_hausdorff_px"].is_null());
  EXPECT_EQ(json["metrics"]["modified_hausdorff_px"]["undefined"], 1);
  EXPECT_TRUE(json["metrics"]["modified_hausdorff_px"]["mean"].is_null());
  EXPECT_EQ(json["metrics"]["dice"]["mean"], 0);
}

}  // namespace
}  // namespace cmunet::metrics
