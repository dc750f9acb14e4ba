// SPDX-License-Identifier: Apache-2.0
#include "cmunet/phantom/phantom.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <thread>

#include "cmunet/base/version.h"

namespace cmunet::phantom {
namespace {

double share_of(const image::Mask& mask) {
  return static_cast<double>(std::count(mask.begin(), mask.end(), std::uint8_t{1})) / static_cast<double>(mask.size());
}

TEST(MakePhantom, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const Options options{.size = 128, .stenosis = true};
  const Phantom a = make_phantom(options, 5), b = make_phantom(options, 5), c = make_phantom(options, 6);
  EXPECT_EQ(a.image, b.image);
  EXPECT_EQ(a.mask, b.mask);
  EXPECT_EQ(truth_json(a), truth_json(b));
  EXPECT_NE(a.image, c.image);
  EXPECT_NE(a.mask, c.mask);
}

TEST(MakePhantom, IsTheSameOnAnyThread) {
  const Phantom alone = make_phantom({.size = 128}, 9);
  Phantom beside[2];
  {
    std::jthread first([&] { beside[0] = make_phantom({.size = 128}, 9); });
    std::jthread second([&] { beside[1] = make_phantom({.size = 128}, 9); });
  }
  EXPECT_EQ(beside[0].image, alone.image);
  EXPECT_EQ(beside[1].image, alone.image);
  EXPECT_EQ(truth_json(beside[1]), truth_json(alone));
}

// The mask painted again, pixel by pixel, from what the truth file says.
TEST(MakePhantom, MaskIsWhatTheTruthFileSays) {
  for (const std::uint64_t seed : {2U, 3U}) {
    const Phantom p = make_phantom({.size = 96}, seed);
    const Json truth = parse_json(truth_json(p).dump(), "truth");
    for (int y = 0; y < 96; ++y) {
      for (int x = 0; x < 96; ++x) {
        bool inside = false;
        for (const Json& branch : truth["branches"]) {
          for (const Json& q : branch["points"]) {
            const double dy = y - q[0].get<double>(), dx = x - q[1].get<double>(), r = q[2].get<double>() / 2;
            inside = inside || dy * dy + dx * dx <= r * r;
          }
        }
        ASSERT_EQ(p.mask.at(y, x), inside && p.opening.at(y, x) != 0 ? 1 : 0) << seed << ": " << y << "," << x;
      }
    }
  }
}

TEST(MakePhantom, PointsAreDenseAndInMillimetres) {
  for (const int size : {64, 256, 512}) {
    const Phantom p = make_phantom({.size = size}, 8);
    for (const Branch& branch : p.branches) {
      for (std::size_t i = 0; i < branch.points.size(); ++i) {
        const CentrelinePoint& q = branch.points[i];
        EXPECT_DOUBLE_EQ(q.diameter_px * p.spacing_mm.row_mm, q.diameter_mm);
        EXPECT_GE(q.diameter_px, 0.999);  // nothing that the picture cannot show
        if (i == 0) continue;
        EXPECT_LE(std::hypot(q.y - branch.points[i - 1].y, q.x - branch.points[i - 1].x), 0.502);
      }
    }
  }
}

TEST(MakePhantom, BranchesHangTogetherInThePicture) {
  const Phantom p = make_phantom({.size = 256}, 4);
  for (std::size_t b = 1; b < p.branches.size(); ++b) {
    const CentrelinePoint& fork = p.branches[static_cast<std::size_t>(p.branches[b].parent)].points.back();
    EXPECT_EQ(p.branches[b].points.front().y, fork.y);
    EXPECT_EQ(p.branches[b].points.front().x, fork.x);
  }
}

// 8-connected parts of a mask.
int parts_of(image::Mask mask) {
  int parts = 0;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      if (mask.at(y, x) == 0) continue;
      ++parts;
      std::deque<std::pair<int, int>> open{{y, x}};
      for (mask.at(y, x) = 0; !open.empty(); open.pop_front()) {
        const auto [cy, cx] = open.front();
        for (int ny = cy - 1; ny <= cy + 1; ++ny) {
          for (int nx = cx - 1; nx <= cx + 1; ++nx) {
            if (!mask.contains(ny, nx) || mask.at(ny, nx) == 0) continue;
            mask.at(ny, nx) = 0;
            open.emplace_back(ny, nx);
          }
        }
      }
    }
  }
  return parts;
}

TEST(MakePhantom, MaskIsOnePieceAtEverySize) {
  int checked = 0;
  for (const int size : {64, 128, 256}) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const Phantom p = make_phantom({.size = size}, seed);
      const auto hidden = [&](const CentrelinePoint& q) {
        const int y = static_cast<int>(std::lround(q.y)), x = static_cast<int>(std::lround(q.x));
        return !p.opening.contains(y, x) || p.opening.at(y, x) == 0;
      };
      const bool all_seen = std::none_of(p.branches.begin(), p.branches.end(), [&](const Branch& b) {
        return std::any_of(b.points.begin(), b.points.end(), hidden);
      });
      if (!all_seen) continue;
      EXPECT_EQ(parts_of(p.mask), 1) << size << " " << seed;
      ++checked;
    }
  }
  EXPECT_GT(checked, 8);
}

TEST(MakePhantom, TheSceneDoesNotDependOnTheSize) {
  const Phantom small = make_phantom({.size = 128}, 12), large = make_phantom({.size = 512}, 12);
  EXPECT_EQ(small.artery, large.artery);
  EXPECT_EQ(small.view.lao_deg, large.view.lao_deg);
  const CentrelinePoint &a = small.branches.front().points.front(), &b = large.branches.front().points.front();
  // The aim follows the extent of the tree, which has more twigs at the larger size.
  EXPECT_NEAR((a.y + 0.5) / 128, (b.y + 0.5) / 512, 0.06);
  EXPECT_NEAR((a.x + 0.5) / 128, (b.x + 0.5) / 512, 0.06);
  EXPECT_NEAR(a.diameter_mm, b.diameter_mm, 0.01);
}

TEST(MakePhantom, VesselsAreOfAPlausibleSizeAndShare) {
  int right = 0;
  double mean = 0;
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    const Phantom p = make_phantom({.size = 256}, seed);
    const double share = share_of(p.mask), ostium_mm = p.branches.front().points.front().diameter_mm;
    EXPECT_GT(share, 0.025) << seed;
    EXPECT_LT(share, 0.08) << seed;
    EXPECT_GT(ostium_mm, 3.0) << seed;
    EXPECT_LT(ostium_mm, 4.6) << seed;
    EXPECT_GT(p.branches.size(), 20U) << seed;
    right += p.artery == Artery::kRight ? 1 : 0;
    mean += share / 16;
  }
  EXPECT_GT(mean, 0.035);
  EXPECT_GT(right, 2);
  EXPECT_LT(right, 14);
}

TEST(MakePhantom, VesselsAreDarkerThanWhatIsBesideThem) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const Phantom p = make_phantom({.size = 256}, seed);
    double inside = 0, beside = 0;
    int n = 0;
    for (const Branch& branch : p.branches) {
      for (const CentrelinePoint& q : branch.points) {
        if (q.diameter_mm < 1.5) continue;
        const int y = static_cast<int>(std::lround(q.y)), x = static_cast<int>(std::lround(q.x));
        const int reach = static_cast<int>(std::lround(q.diameter_px)) + 2;
        for (const auto& [dy, dx] : {std::pair{-reach, 0}, {reach, 0}, {0, -reach}, {0, reach}}) {
          if (!p.image.contains(y, x) || !p.image.contains(y + dy, x + dx) || p.mask.at(y, x) == 0) continue;
          if (p.mask.at(y + dy, x + dx) != 0 || p.opening.at(y + dy, x + dx) == 0) continue;
          inside += p.image.at(y, x);
          beside += p.image.at(y + dy, x + dx);
          ++n;
        }
      }
    }
    ASSERT_GT(n, 100) << seed;
    EXPECT_LT(inside / n, 0.85 * beside / n) << seed;
    EXPECT_GT(inside / n, 0.3 * beside / n) << seed;
  }
}

TEST(MakePhantom, StenosesReachTheirDepth) {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Phantom p = make_phantom({.stenosis = true, .stenosis_percent = 70}, seed);
    for (const Stenosis& s : p.stenoses) {
      EXPECT_DOUBLE_EQ(s.percent, 70);
      EXPECT_NEAR(s.minimal_diameter_mm, 0.3 * s.reference_diameter_mm, 1e-9);
      const auto& points = p.branches[static_cast<std::size_t>(s.branch)].points;
      const auto at = std::find_if(points.begin(), points.end(),
                                   [&](const CentrelinePoint& q) { return q.y == s.y && q.x == s.x; });
      ASSERT_NE(at, points.end());
      EXPECT_NEAR(at->diameter_mm, s.minimal_diameter_mm, 0.001);
      EXPECT_EQ(p.opening.at(static_cast<int>(std::lround(s.y)), static_cast<int>(std::lround(s.x))), 1);
      // Both ends of the branch are at least as wide as the reference less the vessel's taper.
      EXPECT_GT(points.back().diameter_mm, 0.8 * s.reference_diameter_mm);
      ++found;
    }
  }
  EXPECT_GE(found, 6);
  EXPECT_TRUE(make_phantom({.size = 128}, 1).stenoses.empty());
}

TEST(TruthJson, SaysWhatWasMade) {
  const Phantom p = make_phantom({.size = 128, .field_mm = 128, .stenosis = true}, 3);
  const Json truth = truth_json(p);
  EXPECT_EQ(truth["format"], "cmunet-phantom");
  EXPECT_EQ(truth["disclaimer"], kDisclaimer);
  EXPECT_EQ(truth["seed"], 3);
  EXPECT_EQ(truth["spacing_mm"], Json({1.0, 1.0}));
  EXPECT_EQ(truth["branches"].size(), p.branches.size());
  EXPECT_EQ(truth["branches"][0]["parent"], -1);
  EXPECT_EQ(truth["branches"][0]["vessel"], p.artery == Artery::kRight ? "RCA" : "LAD");
  EXPECT_EQ(truth["branches"][0]["points"][0].size(), truth["point_fields"].size());
  EXPECT_EQ(truth["stenoses"].size(), p.stenoses.size());
}

TEST(Options, AreChecked) {
  for (const Options& wrong : {Options{.size = 63}, Options{.size = 2049}, Options{.field_mm = 0},
                               Options{.field_mm = std::nan("")}, Options{.stenosis_percent = 100},
                               Options{.stenosis_length_mm = 0.5}, Options{.photons = 0}, Options{.blur_px = -1}}) {
    try {
      make_phantom(wrong, 1);
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace cmunet::phantom
