// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/image/morphology.h"
#include "cmunet/image/resize.h"
#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {
namespace {

using image::ImageF;
using image::Mask;
using testing::HasSubstr;

ImageF noise(int height, int width) {
  ImageF out(height, width);
  Rng rng(5);
  for (float& v : out) v = static_cast<float>(rng.uniform(40, 220));
  return out;
}

/// An L, so that a flip or a swap of axes moves its centre of mass.
Mask letter_l(int height, int width) {
  Mask mask(height, width);
  for (int y = height / 5; y < height * 4 / 5; ++y) {
    for (int x = width / 4; x < width * 2 / 3; ++x) {
      if (x < width / 4 + width / 8 || y >= height * 4 / 5 - height / 8) mask.at(y, x) = 1;
    }
  }
  return mask;
}

struct Centre {
  double y = 0;
  double x = 0;
};

template <typename T>
Centre centroid(const image::Image<T>& image) {
  Centre centre;
  double sum = 0;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      const auto v = static_cast<double>(image.at(y, x));
      sum += v;
      centre.y += v * y;
      centre.x += v * x;
    }
  }
  return {centre.y / sum, centre.x / sum};
}

ImageF to_float(const Mask& mask) {
  ImageF out(mask.height(), mask.width());
  std::copy(mask.begin(), mask.end(), out.begin());
  return out;
}

Options plain(int size, int crop = 0) {
  Options options;
  options.size = size;
  options.crop = crop;
  options.normalise = Normalise::kNone;
  return options;
}

/// The plain sum over a 2-D kernel, reflected without `reflect`.
ImageF unsharp_by_definition(const ImageF& image, double sigma, double amount) {
  const int half = static_cast<int>(4 * sigma + 0.5);
  const auto fold = [](int i, int n) {
    while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
    return i;
  };
  ImageF out = image;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      double sum = 0;
      double weights = 0;
      for (int v = -half; v <= half; ++v) {
        for (int u = -half; u <= half; ++u) {
          const double w = std::exp(-(u * u + v * v) / (2 * sigma * sigma));
          sum += w * double{image.at(fold(y + v, image.height()), fold(x + u, image.width()))};
          weights += w;
        }
      }
      const double here = double{image.at(y, x)};
      out.at(y, x) = static_cast<float>(here + amount * (here - sum / weights));
    }
  }
  return out;
}

// scikit-image 0.19 unsharp_mask(radius=0.5, amount=2, preserve_range=True), the two fields of its documentation.
TEST(Unsharp, ReproducesTheDocumentedExamples) {
  ImageF image(5, 5, 100.0F);
  image.at(2, 2) = 120.0F;
  const ImageF low = unsharp_mask(image, 0.5, 2);
  EXPECT_NEAR(low.at(2, 2), 135.25226, 1e-4);
  EXPECT_NEAR(low.at(1, 2), 96.65076, 1e-4);
  EXPECT_NEAR(low.at(1, 1), 99.54673, 1e-4);
  image.at(2, 2) = 127.0F;
  const ImageF high = unsharp_mask(image, 0.5, 2);
  EXPECT_NEAR(high.at(2, 2), 147.59055, 1e-4);
  EXPECT_NEAR(high.at(2, 3), 95.47852, 1e-4);
  EXPECT_NEAR(high.at(1, 1), 99.38808, 1e-4);
}

TEST(Unsharp, EqualsItsDefinitionAlsoWhereTheKernelIsWiderThanTheImage) {
  const ImageF image = noise(7, 11);
  for (const double sigma : {0.7, 2.0, 6.0}) {
    const ImageF fast = unsharp_mask(image, sigma, 1.5);
    const ImageF slow = unsharp_by_definition(image, sigma, 1.5);
    for (std::size_t i = 0; i < fast.size(); ++i) EXPECT_NEAR(fast.data()[i], slow.data()[i], 1e-3) << sigma;
  }
}

TEST(Unsharp, LeavesAConstantAndAmountZeroAlone) {
  const ImageF image = noise(20, 30);
  EXPECT_EQ(unsharp_mask(image, 60, 0), image);
  for (const float v : unsharp_mask(ImageF(9, 4, 77.0F), 60, 3)) EXPECT_NEAR(v, 77, 1e-4);
}

TEST(Reflect, FoldsAnEndlessLine) {
  const std::vector<int> expected{1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1};
  for (int i = -5; i < 8; ++i) EXPECT_EQ(reflect(i, 3), expected[static_cast<std::size_t>(i + 5)]) << i;
  EXPECT_EQ(reflect(-100, 1), 0);
}

TEST(Normalise, GivesMeanZeroAndDeviationOne) {
  const ImageF image = prepare_image(noise(70, 50), Options{.size = 64}).image;
  double sum = 0;
  double squares = 0;
  for (const float v : image) {
    sum += double{v};
    squares += double{v} * double{v};
  }
  const auto n = static_cast<double>(image.size());
  EXPECT_NEAR(sum / n, 0, 1e-5);
  EXPECT_NEAR(squares / n, 1, 1e-5);
}

TEST(Normalise, AConstantImageBecomesZero) {
  for (const float value : {0.0F, 33.3F, 255.0F}) {
    for (const float v : prepare_image(ImageF(50, 61, value), Options{.unsharp = true, .size = 32}).image) {
      ASSERT_EQ(v, 0.0F);
    }
  }
}

TEST(Normalise, ByTheDatasetsNumbers) {
  Options options = plain(8);
  options.normalise = Normalise::kDataset;
  options.dataset_mean = 100;
  options.dataset_sd = 50;
  for (const float v : prepare_image(ImageF(8, 8, 175.0F), options).image) EXPECT_FLOAT_EQ(v, 1.5F);
}

TEST(Corners, FillsABlackCornerFromItsSurroundings) {
  ImageF image(100, 120, 150.0F);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 20 - y; ++x) image.at(y, x) = 3.0F;
  }
  image.at(50, 60) = 0.0F;  // dark, but not in a corner
  const ImageF filled = inpaint_corners(image, Options{});
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 20; ++x) ASSERT_NEAR(filled.at(y, x), 150, 8) << y << " " << x;
  }
  EXPECT_EQ(filled.at(50, 60), 0.0F);
}

TEST(Corners, LeavesACleanImageAndFewDarkPixelsUnchanged) {
  ImageF image = noise(100, 120);
  EXPECT_EQ(inpaint_corners(image, Options{}), image);
  for (int x = 0; x < 20; ++x) image.at(3, x) = 0.0F;
  EXPECT_EQ(inpaint_corners(image, Options{}), image) << "20 dark pixels are fewer than inpaint_min_pixels";
  EXPECT_NE(inpaint_corners(image, Options{.inpaint_min_pixels = 20}), image);
}

TEST(Corners, AWhollyDarkImageStays) {
  const ImageF dark(40, 40, 1.0F);
  EXPECT_EQ(inpaint_corners(dark, Options{.inpaint_corner_frac = 0.5}), dark);
}

TEST(Window, IsCentredOrPaddedByReflection) {
  EXPECT_EQ(square_map(512, 512, 475, 256), (GridMap{512, 512, 18, 18, 475, 475, 256, 256}));
  EXPECT_EQ(square_map(100, 60, 0, 64), (GridMap{100, 60, 0, -20, 100, 100, 64, 64}));
  EXPECT_EQ(square_map(4, 5, 7, 8), (GridMap{4, 5, -1, -1, 7, 7, 8, 8}));

  ImageF line(1, 3);
  for (int x = 0; x < 3; ++x) line.at(0, x) = static_cast<float>(x + 1);
  const ImageF wide = cut_window(line, GridMap{1, 3, 0, -2, 1, 7, 1, 7});
  EXPECT_THAT(std::vector<float>(wide.begin(), wide.end()), testing::ElementsAre(2, 1, 1, 2, 3, 3, 2));
}

TEST(Window, NothingIsLostAtCropZero) {
  const ImageF image = noise(40, 24);
  const Prepared prepared = prepare_image(image, plain(40));
  EXPECT_EQ(prepared.image.width(), 40);
  EXPECT_EQ(to_source_grid(prepared.image, prepared.map, -1), image);
}

TEST(Prepare, IsTheIdentityAtScaleOne) {
  const ImageF image = noise(33, 33);
  const Mask mask = letter_l(33, 33);
  const Prepared prepared = prepare_image(image, plain(33));
  EXPECT_EQ(prepared.image, image);
  EXPECT_EQ(to_source_grid(prepared.image, prepared.map, 0), image);
  EXPECT_EQ(to_source_grid(prepare_mask(mask, plain(33)), prepared.map), mask);
}

TEST(Prepare, ResamplesAsTheBicubicFilter) {
  const ImageF image = noise(60, 60);
  EXPECT_EQ(prepare_image(image, plain(32)).image, image::resize_bicubic(image, 32, 32));
}

TEST(Prepare, CarriesSpacingThereAndBack) {
  ImageF image = noise(64, 64);
  image.spacing_mm = image::Spacing{0.3, 0.2};
  const Prepared prepared = prepare_image(image, plain(32));
  ASSERT_TRUE(prepared.image.spacing_mm.has_value());
  EXPECT_DOUBLE_EQ(prepared.image.spacing_mm->row_mm, 0.6);
  const ImageF back = to_source_grid(prepared.image, prepared.map, 0);
  EXPECT_DOUBLE_EQ(back.spacing_mm.value_or(image::Spacing{}).col_mm, 0.2);
}

TEST(Prepare, RefusesWhatItCannotUse) {
  EXPECT_THROW(prepare_image(ImageF(), Options{}), Error);
  ImageF bad = noise(10, 10);
  bad.at(3, 3) = std::nanf("");
  EXPECT_THROW(prepare_image(bad, Options{}), Error);
  EXPECT_THROW(prepare_mask(Mask(10, 10, 255), Options{}), Error);
  EXPECT_THROW(prepare_mask(Mask(), Options{}), Error);
  EXPECT_THROW(prepare_image(noise(10, 10), Options{.size = 0}), Error);
}

TEST(BackToSource, MasksAreExactAtWholeFactors) {
  const Mask mask = letter_l(48, 48);
  for (const int factor : {2, 3}) {
    const GridMap map = square_map(48, 48, 0, 48 * factor);
    EXPECT_EQ(to_source_grid(prepare_mask(mask, plain(48 * factor)), map), mask) << factor;
    const Mask coarse = letter_l(16, 16);  // a result on a grid that is `factor` times coarser
    const GridMap shrink = square_map(16 * factor, 16 * factor, 0, 16);
    EXPECT_EQ(to_source_grid(coarse, shrink), image::resize_nearest(coarse, 16 * factor, 16 * factor)) << factor;
  }
}

TEST(BackToSource, OutsideTheWindowIsOutside) {
  const GridMap map = square_map(20, 30, 10, 10);
  const ImageF back = to_source_grid(ImageF(10, 10, 0.75F), map, -2);
  const Mask mask = to_source_grid(Mask(10, 10, 1), map);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 30; ++x) {
      const bool inside = y >= 5 && y < 15 && x >= 10 && x < 20;
      ASSERT_EQ(back.at(y, x), inside ? 0.75F : -2.0F);
      ASSERT_EQ(mask.at(y, x), inside ? 1 : 0);
    }
  }
  EXPECT_THROW(to_source_grid(ImageF(9, 10), map, 0), Error);
  EXPECT_THROW(to_source_grid(Mask(10, 10), GridMap{}), Error);
}

struct Geometry {
  int height;
  int width;
  int crop;
  int size;
};

class RoundTrip : public testing::TestWithParam<Geometry> {};

TEST_P(RoundTrip, KeepsTheLetterInPlace) {
  const auto [height, width, crop, size] = GetParam();
  const Mask letter = letter_l(height, width);
  const Options options = plain(size, crop);
  const Prepared prepared = prepare_image(to_float(letter), options);
  const Centre expected = centroid(letter);
  const Centre soft = centroid(to_source_grid(prepared.image, prepared.map, 0));
  EXPECT_NEAR(soft.y, expected.y, 0.6);
  EXPECT_NEAR(soft.x, expected.x, 0.6);
  // Nearest pixels place every edge to within half a grid pixel, which is crop / size source pixels wide.
  const double tolerance = 0.6 * std::max(1.0, static_cast<double>(prepared.map.crop_height) / size);
  const Centre hard = centroid(to_source_grid(prepare_mask(letter, options), prepared.map));
  EXPECT_NEAR(hard.y, expected.y, tolerance);
  EXPECT_NEAR(hard.x, expected.x, tolerance);
}

INSTANTIATE_TEST_SUITE_P(OddSizes, RoundTrip,
                         testing::Values(Geometry{101, 101, 0, 64}, Geometry{131, 97, 0, 128},
                                         Geometry{97, 131, 0, 256}, Geometry{151, 149, 141, 99},
                                         Geometry{75, 63, 111, 80}, Geometry{512, 512, 475, 256}));

TEST(Smoothing, ContourThickensByOnePixelAndSparesTheFrame) {
  const Mask letter = letter_l(40, 40);
  const Mask smooth = smooth_mask(letter, MaskSmoothing::kContour);
  const Mask widest = image::dilate3x3(letter);
  int gained = 0;
  for (std::size_t i = 0; i < letter.size(); ++i) {
    EXPECT_GE(smooth.data()[i], letter.data()[i]);
    EXPECT_LE(smooth.data()[i], widest.data()[i]);
    gained += smooth.data()[i] - letter.data()[i];
  }
  EXPECT_GT(gained, 40);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(smooth.at(0, i) + smooth.at(i, 0) + smooth.at(39, i) + smooth.at(i, 39), 0);
  EXPECT_EQ(smooth_mask(Mask(9, 9), MaskSmoothing::kContour), Mask(9, 9));
  EXPECT_EQ(smooth_mask(Mask(9, 9, 1), MaskSmoothing::kContour), Mask(9, 9, 1));
}

TEST(Smoothing, IsDoneOnTheSourcesGrid) {
  Mask mask = letter_l(64, 64);
  mask.at(2, 2) = 1;
  Options options = plain(64);
  EXPECT_EQ(prepare_mask(mask, options), mask);
  options.mask_smoothing = MaskSmoothing::kMajority;
  EXPECT_EQ(prepare_mask(mask, options), image::majority3x3(mask));
  EXPECT_EQ(prepare_mask(mask, options).at(2, 2), 0);
}

std::string refusal(const Json& json) {
  try {
    options_from_json(json, "model.safetensors");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    return error.what();
  }
  return "";
}

TEST(OptionsJson, RoundTrips) {
  const Options options{.mask_smoothing = MaskSmoothing::kContour,
                        .crop = 475,
                        .inpaint_corners = true,
                        .inpaint_threshold = 20,
                        .inpaint_corner_frac = 0.25,
                        .inpaint_min_pixels = 7,
                        .inpaint_radius_px = 5,
                        .unsharp = true,
                        .unsharp_radius = 12.5,
                        .unsharp_amount = 3,
                        .size = 224,
                        .normalise = Normalise::kDataset,
                        .dataset_mean = 117.25,
                        .dataset_sd = 41.5};
  const Json json = to_json(options);
  EXPECT_EQ(json.at("mask_smoothing"), "contour");
  EXPECT_EQ(options_from_json(parse_json(json.dump(), "test"), "test"), options);
  EXPECT_EQ(options_from_json(to_json(Options{}), "test"), Options{});
}

TEST(OptionsJson, IsStrict) {
  Json json = to_json(Options{});
  json["sise"] = 3;
  EXPECT_THAT(refusal(json), testing::AllOf(HasSubstr("sise"), HasSubstr("model.safetensors")));
  json = to_json(Options{});
  json.erase("crop");
  EXPECT_THAT(refusal(json), HasSubstr("crop"));
  json = to_json(Options{});
  json["size"] = "big";
  EXPECT_THAT(refusal(json), HasSubstr("size"));
  json["size"] = -4;
  EXPECT_THAT(refusal(json), HasSubstr("size"));
  EXPECT_THAT(refusal(Json::array()), HasSubstr("object"));
}

TEST(OptionsCheck, NamesTheKey) {
  try {
    Options{.inpaint_corner_frac = std::nan("")}.check();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("prepare.inpaint_corner_frac"));
  }
}

TEST(GridMapJson, RoundTripsAndIsStrict) {
  const GridMap map = square_map(100, 60, 0, 64);
  EXPECT_EQ(grid_map_from_json(to_json(map), "test"), map);
  const Json whole = to_json(map);
  for (const auto& [key, value] : whole.items()) {
    Json lacking = whole;
    lacking.erase(key);
    EXPECT_THROW(grid_map_from_json(lacking, "test"), Error) << key;
  }
  Json more = to_json(map);
  more["depth"] = 3;
  EXPECT_THROW(grid_map_from_json(more, "test"), Error);
  Json zero = to_json(map);
  zero["crop_height"] = 0;
  EXPECT_THROW(grid_map_from_json(zero, "test"), Error);
}

}  // namespace
}  // namespace cmunet::preprocess
