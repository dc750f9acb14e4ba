// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/postprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/image/components.h"

namespace cmunet::engine {
namespace {

using image::ImageF;
using image::Mask;

// Digits are tenths: '9' is 0.9; '.' is 0.01.
ImageF draw(const std::vector<std::string>& rows) {
  ImageF p(static_cast<int>(rows.size()), static_cast<int>(rows[0].size()));
  auto value = p.begin();
  for (const std::string& row : rows) {
    for (const char c : row) *value++ = c == '.' ? 0.01F : static_cast<float>(c - '0') / 10;
  }
  return p;
}

std::vector<std::string> rows_of(const Mask& mask) {
  std::vector<std::string> rows;
  for (int y = 0; y < mask.height(); ++y) {
    std::string& row = rows.emplace_back();
    for (int x = 0; x < mask.width(); ++x) row += mask.at(y, x) != 0 ? '#' : '.';
  }
  return rows;
}

using Rows = std::vector<std::string>;

PostprocessOptions bridging(std::int64_t max_gap_px, double min_probability = 0) {
  PostprocessOptions options;
  options.max_gap_px = max_gap_px;
  options.min_gap_probability = min_probability;
  return options;
}

TEST(Postprocess, IsAThresholdByDefault) {
  const Postprocessed result = postprocess(draw({"96.5", ".49."}), {});
  EXPECT_EQ(rows_of(result.mask), (Rows{"##..", "..#."}));
  EXPECT_EQ(rows_of(result.bridges), (Rows{"....", "...."}));
  EXPECT_EQ(result.removed_px, 0);
}

TEST(Postprocess, HysteresisFollowsFaintPixelsFromStrongOnes) {
  PostprocessOptions options;
  options.low_threshold = 0.25;
  // Diagonal neighbours count; the faint part on the right touches nothing strong.
  EXPECT_EQ(rows_of(postprocess(draw({"9...3", ".3..3", "..32."}), options).mask), (Rows{"#....", ".#...", "..#.."}));
}

TEST(Postprocess, RemovesSmallPartsOnly) {
  PostprocessOptions options;
  options.min_area_px = 3;
  const Postprocessed result = postprocess(draw({"99..9", "9...9", "....."}), options);
  EXPECT_EQ(rows_of(result.mask), (Rows{"##...", "#....", "....."}));
  EXPECT_EQ(result.removed_px, 2);
}

TEST(Bridging, FollowsTheProbableWayAndCountsItsPixels) {
  // Straight across nothing is seen; below there is a faint vessel.
  const ImageF p = draw({"99......99", "..4....4..", "...4444..."});
  const Postprocessed result = postprocess(p, bridging(6, 0.3));
  EXPECT_EQ(rows_of(result.bridges), (Rows{"..........", "..#....#..", "...####..."}));
  EXPECT_EQ(std::ranges::count(result.bridges, 1), 6);
  EXPECT_EQ(image::connected_components(result.mask, 8).count, 1);
  EXPECT_EQ(std::ranges::count(postprocess(p, bridging(5, 0.3)).bridges, 1), 0);   // too long
  EXPECT_EQ(std::ranges::count(postprocess(p, bridging(6, 0.45)).bridges, 1), 0);  // too faint
}

TEST(Bridging, NeverTouchesWhatIsJoined) {
  // One part with a gap inside, as a loop has: nothing to join.
  EXPECT_EQ(std::ranges::count(postprocess(draw({"999", "9.9", "9.."}), bridging(9)).bridges, 1), 0);
  // Three parts in a row take two bridges.
  const Postprocessed three = postprocess(draw({"9.9.9"}), bridging(3));
  EXPECT_EQ(rows_of(three.mask), (Rows{"#####"}));
}

// The cost of the cheapest way between two parts, by relaxing every pixel until nothing changes.
double brute_cost(const ImageF& p, const Mask& mask, const image::Image<int>& part, int from, int to) {
  const auto size = static_cast<int>(p.size());
  std::vector<double> cost(p.size(), 1e300);
  for (int i = 0; i < size; ++i) cost[static_cast<std::size_t>(i)] = part.data()[i] == from ? 0 : 1e300;
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < size; ++i) {
      for (int j = 0; j < size; ++j) {
        const int dy = std::abs(i / p.width() - j / p.width()), dx = std::abs(i % p.width() - j % p.width());
        if (dy > 1 || dx > 1 || i == j || (mask.data()[j] != 0 && part.data()[j] != to)) continue;
        const double enter =
            part.data()[j] == to ? 0 : -std::sqrt(dy + dx) * std::log(std::max(1e-4, double{p.data()[j]}));
        const double now = cost[static_cast<std::size_t>(i)] + enter;
        if (now >= cost[static_cast<std::size_t>(j)] - 1e-12) continue;
        cost[static_cast<std::size_t>(j)] = now;
        changed = true;
      }
    }
  }
  double best = 1e300;
  for (int i = 0; i < size; ++i) {
    if (part.data()[i] == to) best = std::min(best, cost[static_cast<std::size_t>(i)]);
  }
  return best;
}

// With two parts there is one bridge, and it costs what the cheapest way costs. A diagonal step costs √2 for the pixel
// that it enters, so the ways from both sides meet with one step that neither pays: the bridge is at most dearer by
// what that changes, and never cheaper than the cheapest.
TEST(Bridging, TakesACheapestWayBetweenTwoParts) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Rng rng(seed);
    ImageF p(9, 14);
    for (float& v : p) v = static_cast<float>(rng.uniform(0.02, 0.45));
    p.at(4, 1) = p.at(static_cast<int>(rng.below(9)), 12) = 0.9F;
    const Postprocessed result = postprocess(p, bridging(40));
    Mask mask(9, 14);
    std::ranges::transform(p, mask.begin(), [](float v) -> std::uint8_t { return v > 0.5F ? 1 : 0; });
    const image::Image<int> part = image::connected_components(mask, 8).labels;
    EXPECT_EQ(image::connected_components(result.mask, 8).count, 1) << seed;
    // The same search, but only through the bridge's own pixels.
    ImageF walled = p;
    std::ranges::transform(p, result.mask, walled.begin(), [](float v, std::uint8_t m) { return m != 0 ? v : 0.0F; });
    const double cheapest = brute_cost(p, mask, part, 1, 2), taken = brute_cost(walled, mask, part, 1, 2);
    EXPECT_GE(taken, cheapest - 1e-9) << seed;
    EXPECT_LE(taken, 1.25 * cheapest) << seed;
  }
}

TEST(Postprocess, ScalesLengthsAndAreas) {
  PostprocessOptions options;
  options.min_area_px = 10;
  options.max_gap_px = 6;
  const PostprocessOptions twice = options.scaled(2);
  EXPECT_EQ(twice.min_area_px, 40);
  EXPECT_EQ(twice.max_gap_px, 12);
  EXPECT_EQ(options.scaled(1), options);
}

TEST(Postprocess, ChecksAndSurvivesJson) {
  PostprocessOptions options;
  options.low_threshold = 0.25;
  options.flips = true;
  options.max_gap_px = 7;
  EXPECT_EQ(postprocess_from_json(to_json(options), "x"), options);
  EXPECT_EQ(postprocess_from_json(to_json(PostprocessOptions{}), "x"), PostprocessOptions{});
  Json json = to_json(options);
  json["low_threshold"] = 0.75;  // above the threshold
  EXPECT_THROW(postprocess_from_json(json, "x"), Error);
  json = to_json(options);
  json["extra"] = 1;
  EXPECT_THROW(postprocess_from_json(json, "x"), Error);
  EXPECT_THROW(postprocess_from_json(Json::array(), "x"), Error);
  options.max_gap_px = -1;
  EXPECT_THROW(options.check(), Error);
  EXPECT_THROW(postprocess(ImageF(2, 2), options), Error);
}

// Answers with the image itself, but sees a mark only in the top left corner: each mirror image shows it another
// corner.
class CornerOnly : public Engine {
 public:
  std::string name() const override { return "corner only"; }
  std::vector<ImageF> vessel_probability(std::span<const ImageF> images) override {
    std::vector<ImageF> result;
    for (const ImageF& image : images) {
      result.emplace_back(image.height(), image.width());
      result.back().at(0, 0) = image.at(0, 0);
    }
    return result;
  }
};

// Has no number for a picture whose first pixel is bright.
class NoNumberForBright : public CornerOnly {
 public:
  std::vector<ImageF> vessel_probability(std::span<const ImageF> images) override {
    std::vector<ImageF> result = CornerOnly::vessel_probability(images);
    for (ImageF& image : result) {
      if (image.at(0, 0) > 0.5F) image.at(0, 0) = std::nanf("");
    }
    return result;
  }
};

TEST(Flips, EveryPassMustBeANumber) {
  NoNumberForBright engine;
  for (const auto& [y, x] : {std::pair{0, 2}, {1, 0}, {1, 2}}) {
    ImageF picture(2, 3);
    picture.at(y, x) = 0.8F;  // comes first in one of the mirror images
    EXPECT_NO_THROW(vessel_probability(engine, std::span(&picture, 1), false));
    try {
      vessel_probability(engine, std::span(&picture, 1), true);
      ADD_FAILURE() << y << ' ' << x;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    }
  }
}

TEST(Flips, AverageFourViewsInPlace) {
  CornerOnly engine;
  ImageF picture(2, 3);
  picture.at(0, 0) = 0.4F, picture.at(0, 2) = 0.8F, picture.at(1, 0) = 0.2F, picture.at(1, 2) = 0.6F;
  const ImageF plain = vessel_probability(engine, std::span(&picture, 1), false).front();
  EXPECT_FLOAT_EQ(plain.at(0, 0), 0.4F);
  EXPECT_FLOAT_EQ(plain.at(1, 2), 0);
  const ImageF mean = vessel_probability(engine, std::span(&picture, 1), true).front();
  EXPECT_FLOAT_EQ(mean.at(0, 0), 0.1F);
  EXPECT_FLOAT_EQ(mean.at(0, 2), 0.2F);
  EXPECT_FLOAT_EQ(mean.at(1, 0), 0.05F);
  EXPECT_FLOAT_EQ(mean.at(1, 2), 0.15F);
  EXPECT_FLOAT_EQ(mean.at(0, 1), 0);
}

}  // namespace
}  // namespace cmunet::engine
