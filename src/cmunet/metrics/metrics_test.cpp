// SPDX-License-Identifier: Apache-2.0
// Every metric against a twin written straight from its definition, on random and on awkward masks.
#include "cmunet/metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/thinning.h"
#include "cmunet/vessel/diameter.h"

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

// Smoothed noise above a threshold: blobs of all sizes, some cut by the border.
Mask blobs(int height, int width, std::uint64_t seed, double density) {
  Rng rng(seed);
  Mask mask(height, width);
  for (auto& v : mask) v = rng.bernoulli(density) ? 1 : 0;
  for (int i = 0; i < 3; ++i) mask = image::majority3x3(mask);
  return mask;
}

// A tapering trunk from border to border with a branch.
Mask branching_vessel(int height, int width, double bend) {
  Mask mask(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double trunk = height / 2.0 + bend * std::sin(x / 7.0), branch = trunk - 0.8 * (x - width / 3.0);
      const bool on_branch = x > width / 3 && std::abs(y - branch) < 2.5;
      if (std::abs(y - trunk) < 5 - 3.5 * x / width || on_branch) mask.at(y, x) = 1;
    }
  }
  return mask;
}

Mask with_pixels(int height, int width, const std::vector<std::pair<int, int>>& pixels) {
  Mask mask(height, width);
  for (const auto& [y, x] : pixels) mask.at(y, x) = 1;
  return mask;
}

struct Pair {
  const char* name;
  Mask pred, target;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.name; }

std::vector<Pair> cases() {
  return {
      {"vessels", wandering_vessel(40, 60, 1, 2), wandering_vessel(40, 60, 2, 1)},
      {"same", wandering_vessel(40, 60, 3, 2), wandering_vessel(40, 60, 3, 2)},
      {"thin_against_thick", wandering_vessel(40, 60, 4, 0), wandering_vessel(40, 60, 4, 3)},
      {"branching", branching_vessel(50, 64, 4), branching_vessel(50, 64, 1)},
      {"sparse_blobs", blobs(30, 45, 5, 0.4), blobs(30, 45, 6, 0.4)},
      {"dense_blobs", blobs(45, 30, 7, 0.6), blobs(45, 30, 8, 0.5)},
      {"noise", blobs(20, 20, 9, 0.1), blobs(20, 20, 10, 0.9)},
      {"single_pixels", with_pixels(9, 9, {{2, 2}}), with_pixels(9, 9, {{6, 7}})},
      {"one_pixel_line", with_pixels(7, 9, {{3, 1}, {3, 2}, {3, 3}, {3, 4}}),
       with_pixels(7, 9, {{4, 2}, {4, 3}, {4, 4}})},
      {"touching_the_border", with_pixels(5, 5, {{0, 0}, {0, 1}, {1, 0}}), with_pixels(5, 5, {{4, 4}, {0, 0}})},
      {"all_but_one_pixel", Mask(6, 6, 1), with_pixels(6, 6, {{3, 2}})},
      {"one_row", with_pixels(1, 9, {{0, 2}, {0, 3}}), with_pixels(1, 9, {{0, 3}, {0, 8}})},
      {"one_pixel_image", Mask(1, 1, 1), Mask(1, 1, 1)},
      {"empty_prediction", Mask(9, 9), with_pixels(9, 9, {{4, 4}})},
      {"empty_target", with_pixels(9, 9, {{4, 4}}), Mask(9, 9)},
      {"full_prediction", Mask(12, 17, 1), wandering_vessel(12, 17, 11, 1)},
      {"both_empty", Mask(9, 9), Mask(9, 9)},
      {"both_full", Mask(9, 9, 1), Mask(9, 9, 1)},
      {"empty_against_full", Mask(9, 9), Mask(9, 9, 1)},
  };
}

using Points = std::vector<std::pair<double, double>>;

// The 0.5-crossings of all pairs of pixels one apart, interpolated linearly.
Points brute_contour(const Mask& m) {
  Points points;
  for (int y = 0; y < m.height(); ++y) {
    for (int x = 0; x < m.width(); ++x) {
      for (int v = 0; v < m.height(); ++v) {
        for (int u = 0; u < m.width(); ++u) {
          const double a = m.at(y, x), b = m.at(v, u);
          if (std::abs(y - v) + std::abs(x - u) != 1 || a >= b) continue;
          const double t = (0.5 - a) / (b - a);
          points.emplace_back(y + t * (v - y), x + t * (u - x));
        }
      }
    }
  }
  return points;
}

// The contour, or the frame of the image when all is vessel.
Points brute_boundary(const Mask& m) {
  Points points = brute_contour(m);
  if (points.empty() && m.at(0, 0) != 0) {
    Mask padded(m.height() + 2, m.width() + 2);
    for (int y = 0; y < m.height(); ++y) {
      for (int x = 0; x < m.width(); ++x) padded.at(y + 1, x + 1) = 1;
    }
    points = brute_contour(padded);
    for (auto& [y, x] : points) y -= 1, x -= 1;
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
  const Points a = brute_boundary(pred), b = brute_boundary(target);
  if (a.empty() || b.empty()) return std::nan("");
  const auto directed = [](const Points& from, const Points& to) {
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
      if (std::min({y, x, m.height() - 1 - y, m.width() - 1 - x}) == 0) m.at(y, x) = 0;
    }
  }
  const Points contour = brute_contour(m);
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

double brute_cl_dice(const Mask& pred, const Mask& target) {
  const Mask skeletons[] = {image::thin(pred), image::thin(target)};
  const Mask* masks[] = {&target, &pred};
  double shares[2];
  int vessel = 0;
  for (int k = 0; k < 2; ++k) {
    double inside = 0, all = 0;
    for (int y = 0; y < pred.height(); ++y) {
      for (int x = 0; x < pred.width(); ++x) {
        inside += skeletons[k].at(y, x) * masks[k]->at(y, x);
        all += skeletons[k].at(y, x);
        vessel += masks[k]->at(y, x);
      }
    }
    shares[k] = all == 0 ? 0 : inside / all;
  }
  if (vessel == 0) return 1;
  return shares[0] + shares[1] == 0 ? 0 : 2 * shares[0] * shares[1] / (shares[0] + shares[1]);
}

void expect_same(double value, double expected) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(value)) << value;
  } else {
    EXPECT_NEAR(value, expected, 1e-6);
  }
}

class MetricsTwin : public testing::TestWithParam<Pair> {};

TEST_P(MetricsTwin, Overlap) {
  const auto& [name, pred, target] = GetParam();
  double both = 0, either = 0, sum = 0;
  for (int y = 0; y < pred.height(); ++y) {
    for (int x = 0; x < pred.width(); ++x) {
      both += pred.at(y, x) & target.at(y, x);
      either += pred.at(y, x) | target.at(y, x);
      sum += pred.at(y, x) + target.at(y, x);
    }
  }
  expect_same(dice(pred, target), sum == 0 ? 1 : 2 * both / sum);
  expect_same(iou(pred, target), sum == 0 ? 1 : both / either);
  const Counts counts = count(pred, target);
  EXPECT_EQ(counts.tp + counts.fp + counts.fn + counts.tn, std::ssize(pred));
}

TEST_P(MetricsTwin, CentreLine) {
  const auto& [name, pred, target] = GetParam();
  expect_same(cl_dice(pred, target), brute_cl_dice(pred, target));
  expect_same(soft_cl_dice(pred, target), brute_soft_cl_dice(pred, target));
}

TEST_P(MetricsTwin, Distances) {
  const auto& [name, pred, target] = GetParam();
  expect_same(modified_hausdorff_px(pred, target), brute_hausdorff(pred, target));
  const double pred_px = brute_diameter(pred), target_px = brute_diameter(target);
  expect_same(vessel::mean_diameter_px(pred), pred_px);
  expect_same(diameter_difference_px(pred, target), std::abs(pred_px - target_px));
}

TEST_P(MetricsTwin, SwappingChangesNothing) {
  const auto& [name, pred, target] = GetParam();
  const ImageMetrics one = measure(pred, target), other = measure(target, pred);
  EXPECT_DOUBLE_EQ(one.dice, other.dice);
  EXPECT_DOUBLE_EQ(one.iou, other.iou);
  EXPECT_DOUBLE_EQ(one.cl_dice, other.cl_dice);
  EXPECT_DOUBLE_EQ(one.soft_cl_dice, other.soft_cl_dice);
  expect_same(one.modified_hausdorff_px, other.modified_hausdorff_px);
  expect_same(one.diameter_difference_px, other.diameter_difference_px);
}

INSTANTIATE_TEST_SUITE_P(Masks, MetricsTwin, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Pair>& c) { return std::string(c.param.name); });

TEST(Metrics, MeasureGivesTheSameAsEachFunction) {
  const Pair c = cases().front();
  const ImageMetrics m = measure(c.pred, c.target);
  EXPECT_EQ(m.counts, count(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.dice, dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.cl_dice, cl_dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.modified_hausdorff_px, modified_hausdorff_px(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.diameter_difference_px, diameter_difference_px(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.soft_cl_dice, soft_cl_dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(m.breaks_per_100px, breaks_per_100px(c.pred, c.target));
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

TEST(Metrics, AFlipChangesNothing) {
  const Pair c = cases().front();
  const auto flipped = [](const Mask& m) {
    Mask r(m.height(), m.width());
    for (int y = 0; y < m.height(); ++y) {
      for (int x = 0; x < m.width(); ++x) r.at(y, x) = m.at(m.height() - 1 - y, x);
    }
    return r;
  };
  EXPECT_DOUBLE_EQ(dice(flipped(c.pred), flipped(c.target)), dice(c.pred, c.target));
  EXPECT_DOUBLE_EQ(soft_cl_dice(flipped(c.pred), flipped(c.target)), soft_cl_dice(c.pred, c.target));
  EXPECT_NEAR(modified_hausdorff_px(flipped(c.pred), flipped(c.target)), modified_hausdorff_px(c.pred, c.target), 1e-9);
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

TEST(ModifiedHausdorff, OfTheWholeImageIsMeasuredFromItsFrame) {
  EXPECT_DOUBLE_EQ(modified_hausdorff_px(Mask(9, 9, 1), Mask(9, 9, 1)), 0);
  // Of the 12 points of the frame, the four in the middle of a side are 1 px from the contour of the centre pixel, the
  // others √2 px; seen from the contour the frame is 1 px away.
  EXPECT_NEAR(modified_hausdorff_px(Mask(3, 3, 1), with_pixels(3, 3, {{1, 1}})), (4 + 8 * std::sqrt(2)) / 12, 1e-12);
  EXPECT_TRUE(std::isnan(modified_hausdorff_px(Mask(3, 3, 1), Mask(3, 3))));
}

TEST(DiameterDifference, OfTwoTubesIsTheDifferenceOfTheirWidths) {
  Mask narrow(60, 200), wide(60, 200);
  for (int x = 0; x < 200; ++x) {
    for (int d = -7; d <= 7; ++d) {
      wide.at(30 + d, x) = 1;
      if (std::abs(d) <= 3) narrow.at(30 + d, x) = 1;
    }
  }
  EXPECT_NEAR(diameter_difference_px(narrow, wide), 15 - 7, 0.5);
  EXPECT_TRUE(std::isnan(diameter_difference_px(narrow, Mask(60, 200))));
  EXPECT_TRUE(std::isnan(diameter_difference_px(Mask(60, 200), Mask(60, 200))));
}

}  // namespace
}  // namespace cmunet::metrics
