// SPDX-License-Identifier: Apache-2.0
// What is read otherwise than a viewer shows it, or counted otherwise than it was drawn, is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tiffio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cmunet/codec/codec.h"
#include "cmunet/codec/made_pictures.h"

namespace cmunet::codec {
namespace {

TEST(Jpeg, TakesPixelsAsStoredAndSaysSo) {
  const std::string plain = make_jpeg(8, 16, 1, false, std::vector<std::uint8_t>(8 * 16, 9));
  const auto warned = [](const std::string& file) {
    return warnings_of([&] { EXPECT_EQ(decode_image(bytes_of(file), "test").grey.width(), 16); });
  };
  for (const int orientation : {2, 6, 8}) {
    EXPECT_THAT(warned(with_exif(plain, exif_short(0x0110, 5) + exif_short(0x0112, orientation), 8, 2)),
                testing::ElementsAre(testing::HasSubstr(concat("[test] its EXIF Orientation is ", orientation))));
  }
  const std::string block("Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0", 28);
  const std::string big_endian = plain.substr(0, 2) + "\xff\xe1" + std::string("\0\x1e", 2) + block + plain.substr(2);
  EXPECT_THAT(warned(big_endian), testing::ElementsAre(testing::HasSubstr("EXIF Orientation is 3")));
  EXPECT_THAT(warned(plain), testing::IsEmpty());
  EXPECT_THAT(warned(with_exif(plain, exif_short(0x0112, 1))), testing::IsEmpty());
}

TEST(Jpeg, NothingInAnExifBlockIsTrusted) {
  const std::string plain = make_jpeg(8, 16, 1, false, std::vector<std::uint8_t>(8 * 16, 9));
  const std::string entry = exif_short(0x0112, 6);
  const std::string no_short = little(0x0112, 2) + little(4, 2) + little(1, 4) + little(6, 4);
  const std::string damaged[]{with_exif(plain, entry, 0xffffffff), with_exif(plain, entry, 60),
                              with_exif(plain, {}, 8, 0xffff),     with_exif(plain, exif_short(0x0112, 0)),
                              with_exif(plain, entry, 8, 0),       with_exif(plain, exif_short(0x0112, 9)),
                              with_exif(plain, no_short)};
  for (const std::string& file : damaged) {
    EXPECT_THAT(warnings_of([&] { decode_image(bytes_of(file), "test"); }), testing::IsEmpty());
  }
}

TEST(Tiff, LabelsWithWhiteAsZeroAreReadAsShownAndSaidToBe) {
  const auto value = [](int, int x, int) { return x == 0 ? 255 : 0; };
  const std::string file = make_tiff({.photometric = PHOTOMETRIC_MINISWHITE}, 1, 2, value);
  EXPECT_THAT(warnings_of([&] { EXPECT_THAT(labels_of(file), testing::ElementsAre(0, 255)); }),
              testing::ElementsAre(testing::HasSubstr("white as zero")));
  EXPECT_THAT(warnings_of([&] { grey_of(file); }), testing::IsEmpty());
  EXPECT_THAT(warnings_of([&] { labels_of(make_tiff({}, 1, 2, value)); }), testing::IsEmpty());
}

TEST(Tiff, TakesPixelsAsStoredAndSaysSo) {
  const auto value = [](int, int x, int) { return x; };
  const std::string turned = make_tiff({.orientation = ORIENTATION_RIGHTTOP}, 1, 3, value);
  EXPECT_THAT(warnings_of([&] { EXPECT_THAT(grey_of(turned), testing::ElementsAre(0, 1, 2)); }),
              testing::ElementsAre(testing::HasSubstr("TIFF Orientation is 6")));
  EXPECT_THAT(warnings_of([&] { grey_of(make_tiff({}, 1, 3, value)); }), testing::IsEmpty());
}

TEST(MaskOfLabels, AnyValueButZeroIsVesselAndSoftEdgesAreCounted) {
  const auto mask_of = [](std::vector<std::uint16_t> values) {
    image::Image<std::uint16_t> labels(1, static_cast<int>(values.size()));
    std::ranges::copy(values, labels.begin());
    return mask_of_labels(labels);
  };
  const LabelMask soft = mask_of({0, 255, 130, 1, 0});
  EXPECT_THAT(std::vector(soft.mask.begin(), soft.mask.end()), testing::ElementsAre(0, 1, 1, 1, 0));
  EXPECT_EQ(soft.soft_pixels, 2);
  EXPECT_EQ(mask_of({0, 255, 0}).soft_pixels, 0);
  EXPECT_EQ(mask_of({0, 1, 2, 26}).soft_pixels, 0);  // several vessels
  EXPECT_EQ(mask_of({}).soft_pixels, 0);
  EXPECT_THAT(warnings_of([] { warn_of_soft_masks(0, 0, "test"); }), testing::IsEmpty());
  EXPECT_THAT(warnings_of([] { warn_of_soft_masks(2, 9, "test"); }),
              testing::ElementsAre(testing::HasSubstr("[test] 2 masks have 9 pixels")));
}

}  // namespace
}  // namespace cmunet::codec
