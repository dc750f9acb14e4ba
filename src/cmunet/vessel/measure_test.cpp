// SPDX-License-Identifier: Apache-2.0
#include "cmunet/vessel/measure.h"

#include <gtest/gtest.h>

namespace cmunet::vessel {
namespace {
TEST(MeasureVessels, RefusesWhatIsNoMask) {
  EXPECT_THROW(measure_vessels(image::Mask()), Error);
  EXPECT_THROW(measure_vessels(image::Mask(5, 5, 255)), Error);
  EXPECT_THROW(measure_vessels(image::ImageF(5, 5, 1.5F)), Error);
}
}  // namespace
}  // namespace cmunet::vessel
