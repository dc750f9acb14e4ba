// SPDX-License-Identifier: Apache-2.0
#include "cmunet/augment/resample.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <set>

#include "cmunet/augment/largest_difference_test.h"
#include "cmunet/base/error.h"
#include "cmunet/image/resize.h"

namespace cmunet::augment {
namespace {

class Resample : public ::testing::Test {
 protected:
  Resample() {
    torch::set_num_threads(2);
    torch::manual_seed(1);
  }
  const at::Tensor wide = torch::randn({1, 1, 30, 40});
  const at::Tensor square = torch::randn({6, 1, 24, 24});
};

template <typename T>
image::Image<T> cut(const at::Tensor& picture, const Box& box) {
  image::Image<T> part(static_cast<int>(box.height), static_cast<int>(box.width));
  for (int y = 0; y < part.height(); ++y) {
    for (int x = 0; x < part.width(); ++x) {
      part.at(y, x) = picture[y + static_cast<int>(box.top)][x + static_cast<int>(box.left)].template item<T>();
    }
  }
  return part;
}

TEST_F(Resample, TheWholeImageAtItsOwnSizeIsUnchanged) {
  const std::vector<Box> boxes(6, Box{0, 0, 24, 24});
  EXPECT_LT(largest_difference(resized_crops(square, boxes, 24, 24), square), 1e-6);
}

TEST_F(Resample, AWholeNumberedBoxAtItsOwnSizeIsACrop) {
  const auto crop = resized_crops(wide, {{5, 11, 16, 20}}, 16, 20);
  EXPECT_LT(largest_difference(crop, wide.slice(2, 5, 21).slice(3, 11, 31)), 1e-6);
}

TEST_F(Resample, EqualsCuttingOutAndThenResizing) {
  for (const Box& box : {Box{3, 4, 20, 28}, Box{0, 0, 30, 40}, Box{10, 20, 9, 11}, Box{29, 39, 1, 1}}) {
    image::ImageF expected = image::resize_bicubic(cut<float>(wide[0][0], box), 16, 18);
    const auto crop = resized_crops(wide, {box}, 16, 18);
    EXPECT_LT(largest_difference(crop[0][0], torch::from_blob(expected.data(), {16, 18})), 1e-5);
  }
}

// Keys' kernel with a = −0.5 from its definition.
double keys(double x) {
  x = std::abs(x);
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  return x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

// One output pixel of a fractional box: the sum over all pixels that touch the box.
double slow_pixel(const at::Tensor& picture, const Box& box, int height, int width, int i, int j) {
  const double step_y = box.height / height, step_x = box.width / width;
  const double cy = box.top + (i + 0.5) * step_y, cx = box.left + (j + 0.5) * step_x;
  double sum = 0, weights = 0;
  for (int y = static_cast<int>(std::floor(box.top)); y < std::ceil(box.top + box.height); ++y) {
    for (int x = static_cast<int>(std::floor(box.left)); x < std::ceil(box.left + box.width); ++x) {
      const double weight = keys((y + 0.5 - cy) / std::max(1.0, step_y)) * keys((x + 0.5 - cx) / std::max(1.0, step_x));
      sum += weight * picture[y][x].item<double>();
      weights += weight;
    }
  }
  return sum / weights;
}

TEST_F(Resample, AFractionalBoxFollowsTheDefinition) {
  const Box box{2.25, 3.5, 21.7, 9.3};  // reduced along y, enlarged along x
  const auto crop = resized_crops(wide, {box}, 11, 13);
  for (int i = 0; i < 11; ++i) {
    for (int j = 0; j < 13; ++j) {
      EXPECT_NEAR(crop[0][0][i][j].item<double>(), slow_pixel(wide[0][0], box, 11, 13, i, j), 1e-4);
    }
  }
}

TEST_F(Resample, CropsOfABatchKeepTheirOwnBoxesAndMirrors) {
  const std::vector<Box> boxes{{0, 0, 24, 24}, {1, 2, 20, 18, true}, {3, 0, 10, 24},
                               {0, 5, 12, 12}, {6, 6, 18, 18, true}, {2, 2, 7, 9}};
  const auto crops = resized_crops(square, boxes, 20, 20);
  for (int n = 0; n < 6; ++n) {
    Box plain = boxes[static_cast<std::size_t>(n)];
    plain.mirrored = false;
    auto expected = resized_crops(square.narrow(0, n, 1), {plain}, 20, 20);
    if (boxes[static_cast<std::size_t>(n)].mirrored) expected = expected.flip(3);
    EXPECT_LT(largest_difference(crops[n], expected[0]), 1e-5);
  }
  EXPECT_EQ(resized_crops(square.to(torch::kHalf), boxes, 20, 20).scalar_type(), torch::kFloat);
}

TEST_F(Resample, NearestCropsEqualCuttingOutAndThenResizing) {
  const auto masks = (wide.squeeze(1) > 0).to(torch::kUInt8);
  for (const Box& box : {Box{3, 4, 20, 28}, Box{0, 0, 30, 40}, Box{10, 20, 9, 11}}) {
    image::Mask expected = image::resize_nearest(cut<std::uint8_t>(masks[0], box), 16, 18);
    const auto crop = nearest_crops(masks, {box}, 16, 18);
    EXPECT_TRUE(crop[0].equal(torch::from_blob(expected.data(), {16, 18}, torch::kUInt8)));
    Box mirrored = box;
    mirrored.mirrored = true;
    EXPECT_TRUE(nearest_crops(masks, {mirrored}, 16, 18).equal(crop.flip(2)));
  }
}

TEST_F(Resample, WindowsAreSlices) {
  const std::vector<Corner> corners{{0, 0}, {8, 8}, {0, 8}, {3, 1}, {8, 0}, {5, 5}};
  const auto cut_out = windows(square, corners, 16);
  for (int n = 0; n < 6; ++n) {
    const auto [top, left] = corners[static_cast<std::size_t>(n)];
    EXPECT_TRUE(cut_out[n].equal(square[n].slice(1, top, top + 16).slice(2, left, left + 16)));
  }
  EXPECT_THROW(windows(wide, {{15, 0}}, 16), Error);
  EXPECT_THROW(windows(wide, {{0, -1}}, 16), Error);
}

TEST_F(Resample, OrientationsAreTorchsFlipsAndTurns) {
  using enum Orientation;
  const std::vector<Orientation> all{kAsIs, kFlipLeftRight, kFlipUpDown, kTurn90, kTurn180, kTurn270};
  const auto expected = [](const at::Tensor& x, std::size_t which) {
    return which == 0   ? x
           : which == 1 ? x.flip(-1)
           : which == 2 ? x.flip(-2)
                        : x.rot90(static_cast<std::int64_t>(which) - 2, {-2, -1});
  };
  const auto masks = (square.squeeze(1) > 0).to(torch::kUInt8);
  const auto laid = oriented(square, all);
  const auto laid_masks = oriented(masks, all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    EXPECT_TRUE(laid[n].equal(expected(square[n], i)));
    EXPECT_TRUE(laid_masks[n].equal(expected(masks[n], i)));
    if (all[i] == kTurn90 || all[i] == kTurn270) {
      EXPECT_THROW(oriented(wide, {all[i]}), Error);
    } else {
      EXPECT_TRUE(oriented(wide, {all[i]}).equal(expected(wide, i)));
    }
  }
}

TEST_F(Resample, CoarsenedIsNearestThereAndBack) {
  for (const double scale : {1.0, 0.93, 0.75, 0.5, 0.01}) {
    const int height = std::max(1, static_cast<int>(std::lround(30 * scale)));
    const int width = std::max(1, static_cast<int>(std::lround(40 * scale)));
    const image::ImageF small = image::resize_nearest(cut<float>(wide[0][0], {0, 0, 30, 40}), height, width);
    image::ImageF expected = image::resize_nearest(small, 30, 40);
    EXPECT_TRUE(coarsened(wide, {scale})[0][0].equal(torch::from_blob(expected.data(), {30, 40}))) << scale;
  }
  const auto mixed = coarsened(square, {1, 0.5, 1, 0.7, 1, 1});
  EXPECT_TRUE(mixed[0].equal(square[0]));
  EXPECT_TRUE(mixed[1].equal(coarsened(square.narrow(0, 1, 1), {0.5})[0]));
}

TEST_F(Resample, MovedByQuarterTurnsIsATurn) {
  EXPECT_LT(largest_difference(moved(square, std::vector<Motion>(6), Sampling::kBilinear), square), 1e-5);
  const std::vector<Motion> turns(6, Motion{90, 1});
  const auto turned = square.rot90(1, {2, 3});
  EXPECT_LT(largest_difference(moved(square, turns, Sampling::kBilinear), turned), 1e-4);
  EXPECT_TRUE(moved(square, turns, Sampling::kNearest).equal(turned));
}

// A plane y + 2x stays a plane; in the middle, where nothing is reflected, its values are known exactly.
TEST_F(Resample, MovedFollowsTheRotationOnOblongImages) {
  const std::int64_t h = 40, w = 60;
  const auto y = torch::arange(h, torch::kFloat).view({h, 1}) - 19.5, x = torch::arange(w, torch::kFloat) - 29.5;
  const Motion motion{20, 1.25};
  const auto result = moved((y + 2 * x).view({1, h, w}), {motion}, Sampling::kBilinear);
  const double c = std::cos(20 * M_PI / 180) / 1.25, s = std::sin(20 * M_PI / 180) / 1.25;
  // A counter-clockwise turn with y down: the pixel at (y, x) shows what was at (c·y + s·x, c·x − s·y).
  const auto expected = (c * y + s * x) + 2 * (c * x - s * y);
  const auto inner = [](const at::Tensor& t) { return t.slice(0, 12, 28).slice(1, 18, 42); };
  EXPECT_LT(largest_difference(inner(result[0]), inner(expected)), 1e-3);
}

TEST_F(Resample, MovedMasksKeepTheirTypeAndValues) {
  const auto masks = (square.squeeze(1) > 0).to(torch::kLong);
  const auto result = moved(masks, std::vector<Motion>(6, Motion{33, 0.8}), Sampling::kNearest);
  EXPECT_EQ(result.scalar_type(), torch::kLong);
  EXPECT_TRUE(((result == 0) | (result == 1)).all().item<bool>());
}

TEST_F(Resample, WantsOneParameterPerPicture) {
  EXPECT_THROW(resized_crops(square, {}, 16, 16), Error);
  EXPECT_THROW(resized_crops(square[0], {{0, 0, 24, 24}}, 16, 16), Error);
  EXPECT_THROW(nearest_crops(square, std::vector<Box>(6, Box{0, 0, 24, 24}), 16, 16), Error);
  EXPECT_THROW(windows(square, {{0, 0}}, 16), Error);
  EXPECT_THROW(oriented(square, {Orientation::kAsIs}), Error);
  EXPECT_THROW(coarsened(square, {1.0}), Error);
  EXPECT_THROW(moved(square, {Motion{}}, Sampling::kNearest), Error);
}

}  // namespace
}  // namespace cmunet::augment
