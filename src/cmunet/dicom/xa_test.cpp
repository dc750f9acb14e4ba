// SPDX-License-Identifier: Apache-2.0
// Real runs in five transfer syntaxes.
#include "cmunet/dicom/xa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace cmunet::dicom {
namespace {

namespace fs = std::filesystem;

const fs::path kReal = fs::path(CMUNET_SHARED_DATA) / "dicom_xa";

TEST(RealRuns, ThirtyYearsOldCineIsRead) {
  if (!fs::is_directory(kReal)) GTEST_SKIP() << "no data at " << kReal;
  const XaRun run(kReal / "rubo" / "rubo_0002_xa_96f_jpegbaseline.dcm");
  EXPECT_EQ(run.header().frames, 96);
  EXPECT_EQ(run.header().height, 512);
  EXPECT_EQ(run.header().modality, "XA");
  EXPECT_EQ(run.header().lossy, "JPEG baseline");
  EXPECT_DOUBLE_EQ(run.header().frame_time_ms.at(95), 95 * 33.0);
  EXPECT_EQ(run.header().geometry.primary_angle_deg, -32.0);
  const image::ImageF frame = run.frame(40);
  const auto [low, high] = std::ranges::minmax(frame);
  EXPECT_GE(low, 0);
  EXPECT_LE(high, 255);
  EXPECT_GT(high - low, 100);
  EXPECT_EQ(frame, run.stored_frame(40));
  EXPECT_THROW(run.frame(96), Error);
  EXPECT_THROW(run.frame(-1), Error);
}

TEST(RealRuns, LosslessSyntaxesDecodeToTheSamePixels) {
  if (!fs::is_directory(kReal)) GTEST_SKIP() << "no data at " << kReal;
  const XaRun reference(kReal / "derived" / "rubo_12f_explicit_le.dcm");
  ASSERT_EQ(reference.header().frames, 12);
  for (const char* name : {"rubo_12f_jpegll_sv1.dcm", "rubo_12f_jpegls.dcm", "rubo_12f_rle.dcm"}) {
    SCOPED_TRACE(name);
    const XaRun run(kReal / "derived" / name);
    ASSERT_EQ(run.header().frames, 12);
    for (const int i : {11, 0, 5}) EXPECT_EQ(run.frame(i), reference.frame(i)) << "frame " << i;
  }
}

TEST(RealRuns, AreFoundBelowAFolder) {
  if (!fs::is_directory(kReal)) GTEST_SKIP() << "no data at " << kReal;
  EXPECT_EQ(find_runs(kReal).size(), 5U);
}

}  // namespace
}  // namespace cmunet::dicom
