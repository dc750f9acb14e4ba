// SPDX-License-Identifier: Apache-2.0
// The built program: what each flag of post-processing does to the mask that `cmunet predict` writes of one phantom.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "cmunet/base/json.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/codec/codec.h"
#include "cmunet/image/image.h"
#include "run_program.h"

namespace cmunet {
namespace {

class PredictFlags : public ::testing::Test {
 protected:
  PredictFlags() {
    const std::string phantom = concat("phantom --count 1 --size 128 --seed 3 --out ", folder / "phantom");
    EXPECT_EQ(run_program(CMUNET_PROGRAM, phantom, folder.path()).status, 0);
  }

  // 0 and 1, of the phantom segmented with these flags.
  image::Mask predicted(const std::string& flags = "") {
    const std::string arguments = concat("predict --threads 2 --force --out ", folder / "out", " ", flags, " ",
                                         folder / "phantom/images/0000.png");
    const Outcome outcome = run_program(CMUNET_PROGRAM, arguments, folder.path());
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    document = load_json(folder / "out/predictions.json");
    const image::ImageF grey = codec::read_image(folder / "out/0000.png").grey;
    image::Mask mask(grey.height(), grey.width());
    std::transform(grey.begin(), grey.end(), mask.begin(), [](float v) { return v > 0 ? 1 : 0; });
    return mask;
  }

  const ScratchFolder folder;
  Json document;  // predictions.json of the last call
};

int area(const image::Mask& mask) { return std::accumulate(mask.begin(), mask.end(), 0); }

// All vessel of `part` is vessel of `whole`, and not the other way round.
bool is_less(const image::Mask& part, const image::Mask& whole) {
  const bool is_inside = std::equal(part.begin(), part.end(), whole.begin(), [](int p, int w) { return p <= w; });
  return is_inside && area(part) < area(whole);
}

TEST_F(PredictFlags, AHigherThresholdLeavesLess) {
  const image::Mask plain = predicted(), strict = predicted("--threshold 0.9");
  EXPECT_TRUE(is_less(strict, plain));
  EXPECT_GT(area(strict), 0);
  EXPECT_EQ(document["threshold"], 0.9);
}

TEST_F(PredictFlags, ALowThresholdAddsWhatIsConnected) {
  const image::Mask plain = predicted(), more = predicted("--low-threshold 0.05");
  EXPECT_TRUE(is_less(plain, more));
  EXPECT_TRUE(is_less(more, predicted("--threshold 0.05 --low-threshold 0.01")));
}

TEST_F(PredictFlags, AMinimalAreaRemovesSmallParts) {
  const image::Mask strict = predicted("--threshold 0.95"), large = predicted("--threshold 0.95 --min-area 30");
  EXPECT_TRUE(is_less(large, strict));
  EXPECT_GT(area(large), 0);
  EXPECT_EQ(area(predicted("--min-area 1000000")), 0);
}

TEST_F(PredictFlags, ALongestGapAddsBridges) {
  const image::Mask strict = predicted("--threshold 0.95"), bridged = predicted("--threshold 0.95 --max-gap 30");
  EXPECT_TRUE(is_less(strict, bridged));
  EXPECT_EQ(document["images"][0]["bridged_px"], area(bridged) - area(strict));
}

TEST_F(PredictFlags, FlipsAverageMirrorImages) { EXPECT_NE(predicted("--flips"), predicted()); }

TEST_F(PredictFlags, AreRecordedAndOverruleAFile) {
  predicted("--flips --threshold 0.6 --low-threshold 0.2 --min-area 7 --max-gap 3");
  const Json expected{{"flips", true},    {"threshold", 0.6}, {"low_threshold", 0.2},
                      {"min_area_px", 7}, {"max_gap_px", 3},  {"min_gap_probability", 0.1}};
  EXPECT_EQ(document["postprocess"], expected);
  const std::string chosen = folder / "chosen.json";
  save_json(chosen, {{"postprocess", expected}, {"model_hash", "of other weights"}});
  predicted("--postprocess " + chosen);
  EXPECT_EQ(document["postprocess"], expected);
  predicted(concat("--max-gap 4 --min-area 8 --postprocess ", chosen));
  Json overruled = expected;
  overruled["max_gap_px"] = 4, overruled["min_area_px"] = 8;
  EXPECT_EQ(document["postprocess"], overruled);
}

}  // namespace
}  // namespace cmunet
