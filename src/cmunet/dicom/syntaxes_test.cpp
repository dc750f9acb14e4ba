// SPDX-License-Identifier: Apache-2.0
// Every transfer syntax with every kind of sample, against the pixels that were written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

class Syntaxes : public testing::TestWithParam<MadeSyntax> {
 protected:
  XaRun read(const MadeRun& run) {
    write_run(run, folder / "run.dcm");
    return XaRun(folder / "run.dcm");
  }

  // Largest difference from what `value` says over all frames, read backwards.
  static double largest_error(const XaRun& run, const std::function<double(int, int, int)>& value) {
    double largest = 0;
    for (int f = run.header().frames - 1; f >= 0; --f) {
      const image::ImageF frame = run.stored_frame(f);
      for (int y = 0; y < frame.height(); ++y) {
        for (int x = 0; x < frame.width(); ++x) {
          const double error = std::abs(static_cast<double>(frame.at(y, x)) - value(f, y, x));
          if (std::isnan(error)) return error;  // which the maximum would pass over
          largest = std::max(largest, error);
        }
      }
    }
    return largest;
  }

  ScratchFolder folder;
};

TEST_P(Syntaxes, EightBits) {
  MadeRun made;
  made.syntax = GetParam().uid;
  made.cell = [](int f, int y, int x, int) { return 20 * f + 4 * y + 3 * x; };
  const XaRun run = read(made);
  EXPECT_EQ(run.header().frames, 3);
  EXPECT_EQ(run.header().source.transfer_syntax_uid, GetParam().uid);
  EXPECT_THAT(run.header().oddities, testing::IsEmpty());
  EXPECT_EQ(run.header().lossy.has_value(), !GetParam().is_lossless);
  EXPECT_LE(largest_error(run, [](int f, int y, int x) { return 20 * f + 4 * y + 3 * x; }),
            GetParam().is_lossless ? 0 : 3);
  EXPECT_EQ(run.frame(1), run.stored_frame(1));
}

TEST_P(Syntaxes, TwelveBitsInSixteen) {
  if (GetParam().max_bits < 12) GTEST_SKIP() << "this syntax has 8 bits";
  MadeRun made;
  made.syntax = GetParam().uid;
  made.bits_allocated = 16;
  made.bits_stored = 12;
  made.high_bit = 11;
  made.cell = [](int f, int y, int x, int) { return 500 * f + 100 * y + 70 * x; };
  const XaRun run = read(made);
  EXPECT_LE(largest_error(run, [](int f, int y, int x) { return 500 * f + 100 * y + 70 * x; }),
            GetParam().is_lossless ? 0 : 40);
}

TEST_P(Syntaxes, SignedSixteenBits) {
  if (!GetParam().is_lossless) GTEST_SKIP() << "this syntax has no signed values";
  MadeRun made;
  made.syntax = GetParam().uid;
  made.bits_allocated = made.bits_stored = 16;
  made.high_bit = 15;
  made.is_signed = true;
  made.cell = [](int f, int y, int x, int) { return -30000 + 15000 * f + 900 * y + 400 * x; };
  const XaRun run = read(made);
  EXPECT_EQ(largest_error(run, [](int f, int y, int x) { return -30000 + 15000 * f + 900 * y + 400 * x; }), 0);
}

TEST_P(Syntaxes, ColourBecomesLuma) {
  MadeRun made;
  made.syntax = GetParam().uid;
  made.samples = 3;
  made.photometric = "RGB";
  made.height = made.width = 16;
  made.cell = [](int f, int y, int x, int s) { return 40 * s + 10 * f + 3 * y + 2 * x; };
  const auto luma = [](int f, int y, int x) {
    const double red = 10 * f + 3 * y + 2 * x;
    return 0.299 * red + 0.587 * (red + 40) + 0.114 * (red + 80);
  };
  EXPECT_LE(largest_error(read(made), luma), GetParam().is_lossless ? 1e-4 : 3);
}

TEST_P(Syntaxes, OddSizesAndOneFrame) {
  for (const int frames : {1, 2}) {
    MadeRun made;
    made.syntax = GetParam().uid;
    made.frames = frames;
    made.height = 9;
    made.width = 11;
    made.cell = [](int f, int y, int x, int) { return 100 * f + 6 * y + 5 * x; };
    EXPECT_LE(largest_error(read(made), [](int f, int y, int x) { return 100 * f + 6 * y + 5 * x; }),
              GetParam().is_lossless ? 0 : 4);
  }
}

TEST_P(Syntaxes, AFrameInSeveralFragmentsWithAnyOffsetTable) {
  const std::string uid = GetParam().uid;
  if (!uid.starts_with("1.2.840.10008.1.2.4")) GTEST_SKIP() << "this syntax has no code streams";
  MadeRun made;
  made.syntax = uid;
  made.cell = [](int f, int y, int x, int) { return 20 * f + 4 * y + 3 * x; };
  for (const int fragments : {1, 3}) {
    for (const OffsetTable table : {OffsetTable::kRight, OffsetTable::kEmpty, OffsetTable::kWrong}) {
      SCOPED_TRACE(testing::Message() << fragments << " fragments, table " << static_cast<int>(table));
      made.fragments_per_frame = fragments;
      made.offset_table = table;
      const XaRun run = read(made);
      EXPECT_EQ(run.header().frames, 3);
      const bool must_search = fragments > 1 && table != OffsetTable::kRight;
      EXPECT_EQ(run.header().oddities.size(), must_search ? 1U : 0U);
      EXPECT_LE(largest_error(run, [](int f, int y, int x) { return 20 * f + 4 * y + 3 * x; }),
                GetParam().is_lossless ? 0 : 3);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Syntaxes, testing::ValuesIn(made_syntaxes()), [](const auto& made) {
  std::string name = made.param.name;
  std::erase_if(name, [](char c) { return c == ' ' || c == '-'; });
  return name;
});

TEST(Jpeg2000, TheDataSetSaysWhetherValuesAreSigned) {
  const ScratchFolder folder;
  const auto value = [](int y, int x) { return 37 * y - 11 * x; };
  MadeRun made;
  made.syntax = "1.2.840.10008.1.2.4.90";
  made.frames = 1;
  made.bits_allocated = 16;
  made.bits_stored = 12;
  made.high_bit = 11;
  made.attributes = {"PixelRepresentation=1"};
  for (const bool is_codestream_signed : {false, true}) {
    SCOPED_TRACE(is_codestream_signed);
    made.is_signed = is_codestream_signed;
    made.cell = [&](int, int y, int x, int) { return is_codestream_signed ? value(y, x) : value(y, x) & 0xfff; };
    write_run(made, folder / "run.dcm");
    const image::ImageF frame = XaRun(folder / "run.dcm").stored_frame(0);
    for (int y = 0; y < frame.height(); ++y) {
      for (int x = 0; x < frame.width(); ++x)
        ASSERT_EQ(frame.at(y, x), static_cast<float>(value(y, x))) << y << " " << x;
    }
  }
}

TEST(PlainSyntaxes, AreReadWithoutPreambleAndHeader) {
  const ScratchFolder folder;
  for (const char* uid : {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}) {
    SCOPED_TRACE(uid);
    MadeRun made;
    made.syntax = uid;
    made.has_preamble = false;
    write_run(made, folder / "run.dcm");
    EXPECT_TRUE(is_dicom_file(folder / "run.dcm"));
    const XaRun run(folder / "run.dcm");
    EXPECT_EQ(run.header().frames, 3);
    EXPECT_EQ(run.frame(2).at(3, 4), static_cast<float>(made.cell(2, 3, 4, 0)));
    EXPECT_EQ(run.header().source.transfer_syntax_uid, uid);
  }
}

TEST(PlainSyntaxes, PlanarColourIsReadByPlane) {
  const ScratchFolder folder;
  for (const bool is_planar : {false, true}) {
    MadeRun made;
    made.samples = 3;
    made.is_planar = is_planar;
    made.photometric = "RGB";
    write_run(made, folder / "run.dcm");
    const double expected =
        0.299 * made.cell(1, 5, 6, 0) + 0.587 * made.cell(1, 5, 6, 1) + 0.114 * made.cell(1, 5, 6, 2);
    EXPECT_NEAR(static_cast<double>(XaRun(folder / "run.dcm").stored_frame(1).at(5, 6)), expected, 1e-4);
  }
}

}  // namespace
}  // namespace cmunet::dicom
