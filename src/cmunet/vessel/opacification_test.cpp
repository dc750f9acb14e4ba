// SPDX-License-Identifier: Apache-2.0
// Filling curves of synthetic runs: a beating artery that fills and washes out among things that do not.
#include "cmunet/vessel/opacification.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "cmunet/base/error.h"
#include "cmunet/base/random.h"
#include "cmunet/vessel/vesselness.h"

namespace cmunet::vessel {
namespace {

constexpr int kSide = 256;

// A run at 15 frames a second: a heart beat of 12 frames swings everything by a few pixels.
struct Cine {
  int frames = 60;
  double arrives = 15, full = 30, leaves = 40, gone = 55;  // frames
  double contrast = 0.25;                                  // attenuation across the artery at its fullest
  double swing_px = 5;
  double exposure = 1.0;
  bool is_log = false;

  double filling(int frame) const {
    const double in = std::clamp((frame - arrives) / (full - arrives), 0.0, 1.0);
    return std::min(in, std::clamp((gone - frame) / (gone - leaves), 0.0, 1.0));
  }

  image::ImageF operator()(int frame) const {
    Rng rng(static_cast<std::uint64_t>(frame) + 100);
    const double swing = swing_px * std::sin(2 * std::numbers::pi * frame / 12);
    image::ImageF result(kSide, kSide);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        double attenuation = 0.3 * std::sin(x / 40.0) + (x > 170 ? 0.4 : 0.0);      // lungs, spine
        attenuation += tube(y - 30 - 0.1 * x - swing / 4, 5) * 0.2;                 // a rib
        attenuation += tube(x - 40 - 8 * std::sin(y / 30.0) - swing / 3, 4) * 0.3;  // the catheter
        const double course = 120 + 60 * std::sin(x / 45.0) + swing;
        attenuation += contrast * filling(frame) * tube(y - course, 6);  // the artery
        const double grey = 120 * std::exp(-attenuation) + 1.5 * rng.normal();
        const double shown = is_log ? 255 * std::log((grey + 8) / 8) / std::log(263.0 / 8) : exposure * grey;
        result.at(y, x) = static_cast<float>(std::clamp(shown, 0.0, 255.0));
      }
    }
    return result;
  }

  // Across a cylinder of the given width: 1 in the middle, 0 outside.
  static double tube(double distance, double width) {
    const double q = 1 - 4 * distance * distance / (width * width);
    return q > 0 ? std::sqrt(q) : 0.0;
  }
};

const image::Mask& whole() {
  static const image::Mask mask(kSide, kSide, 1);
  return mask;
}

TEST(TubeResponse, IsThatOfAGaussianRidge) {
  // A dark ridge −exp(−x²/2w²) smoothed by σ has the second derivative w / s³ across, s² = w² + σ².
  image::ImageF ridge(64, 64);
  const double w = 2, sigma = 2.5;
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x)
      ridge.at(y, x) = static_cast<float>(100 - 10 * std::exp(-0.5 * (x - 30) * (x - 30) / (w * w)));
  }
  const image::ImageF response = tube_response(ridge, std::array{sigma});
  const double s = std::hypot(w, sigma);
  EXPECT_NEAR(response.at(32, 30), 10 * sigma * sigma * w / (s * s * s), 0.05);
  EXPECT_NEAR(response.at(0, 30), response.at(32, 30), 1e-3);  // mirrored: the border changes nothing
  EXPECT_LT(response.at(32, 45), 0.05);
  for (float& v : ridge) v = 200 - v;  // a bright ridge has no response on its line
  EXPECT_FLOAT_EQ(tube_response(ridge, std::array{sigma}).at(32, 30), 0);
}

TEST(TubeResponse, IsWeakOnBlobsAndEdges) {
  image::ImageF tube(64, 64), blob(64, 64), edge(64, 64), plain(64, 64, 7.0F);
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) {
      const double across = (x - 32.0) * (x - 32.0), along = (y - 32.0) * (y - 32.0);
      tube.at(y, x) = static_cast<float>(-std::exp(-across / 8));
      blob.at(y, x) = static_cast<float>(-std::exp(-(across + along) / 8));
      edge.at(y, x) = x < 32 ? 0.0F : -1.0F;
    }
  }
  const std::array sigmas{1.5, 2.2, 3.2};
  const float full = tube_response(tube, sigmas).at(32, 32);
  EXPECT_LT(tube_response(blob, sigmas).at(32, 32), 0.02F * full);
  const image::ImageF at_edge = tube_response(edge, sigmas), on_plain = tube_response(plain, sigmas);
  EXPECT_LT(at_edge.at(32, 31), 0.2F * full);
  for (const float v : on_plain) EXPECT_NEAR(v, 0, 1e-4);
}

TEST(TubeResponse, RefusesScalesThatDoNotFit) {
  const image::ImageF image(20, 40);
  EXPECT_THROW(tube_response(image, {}), Error);
  EXPECT_THROW(tube_response(image, std::array{0.0}), Error);
  EXPECT_THROW(tube_response(image, std::array{5.0}), Error);
}

TEST(Opacification, PicksTheFilledFramesOfABeatingHeart) {
  const Cine run;
  const Opacification found = measure_opacification(run.frames, run, whole());
  ASSERT_EQ(found.score.size(), 60U);
  EXPECT_TRUE(found.fills);
  EXPECT_GE(found.best_frame, 28);
  EXPECT_LE(found.best_frame, 42);
  const double best = found.smoothed[static_cast<std::size_t>(found.best_frame)];
  for (const std::size_t before : {0U, 5U, 10U, 13U, 57U, 59U}) EXPECT_LT(found.score[before], 0.05 * best) << before;
  EXPECT_LT(found.smoothed[22], 0.9 * best);  // half filled
}

TEST(Opacification, DoesNotDependOnExposureOrTheLogarithm) {
  Cine run;
  run.frames = 40;
  const Opacification plain = measure_opacification(run.frames, run, whole());
  run.exposure = 1.6;
  const Opacification bright = measure_opacification(run.frames, run, whole());
  run.exposure = 1;
  run.is_log = true;
  const Opacification log = measure_opacification(run.frames, run, whole(), true);
  for (const std::size_t frame : {20U, 25U, 30U, 38U}) {
    EXPECT_NEAR(bright.score[frame] / plain.score[frame], 1, 0.25) << frame;
    EXPECT_NEAR(log.score[frame] / plain.score[frame], 1, 0.05) << frame;
  }
}

TEST(Opacification, SaysWhenNothingFills) {
  Cine run;
  run.frames = 30;
  run.contrast = 0;
  const Opacification found = measure_opacification(run.frames, run, whole());
  EXPECT_FALSE(found.fills);
  EXPECT_LT(*std::max_element(found.smoothed.begin(), found.smoothed.end()), 1e-4);
}

TEST(Opacification, LeavesOutWhatLiesOutsideTheField) {
  Cine run;
  run.frames = 32;
  image::Mask field(kSide, kSide);
  for (int y = 0; y < 40; ++y) std::fill_n(field.row(y), kSide, std::uint8_t{1});  // the artery lies below
  EXPECT_FALSE(measure_opacification(run.frames, run, field).fills);
}

TEST(Opacification, OfLargeFramesIsThatOfSmallOnes) {
  Cine run;
  run.frames = 31;
  const auto enlarged = [&](int i) {
    const image::ImageF frame = run(i);
    image::ImageF large(2 * kSide, 2 * kSide);
    for (int y = 0; y < 2 * kSide; ++y) {
      for (int x = 0; x < 2 * kSide; ++x) large.at(y, x) = frame.at(y / 2, x / 2);
    }
    return large;
  };
  const auto small = measure_opacification(run.frames, run, whole());
  const auto large = measure_opacification(run.frames, enlarged, image::Mask(2 * kSide, 2 * kSide, 1));
  EXPECT_NEAR(large.score[30] / small.score[30], 1, 0.2);  // the antialiasing filter blurs a little
}

TEST(Opacification, OfShortRunsAndWrongFrames) {
  const auto noise = [](int) { return image::ImageF(64, 64, 90.0F); };
  const Opacification single = measure_opacification(1, noise, image::Mask(64, 64, 1));
  EXPECT_EQ(single.best_frame, 0);
  EXPECT_FALSE(single.fills);
  EXPECT_EQ(single.score, std::vector<double>{0});
  OpacificationMeter meter(2);
  EXPECT_THROW(meter.result(), Error);
  EXPECT_THROW(meter.add(image::ImageF(64, 64), image::Mask(32, 64)), Error);
  EXPECT_THROW(meter.add(image::ImageF(16, 64), image::Mask(16, 64)), Error);
  meter.add(image::ImageF(64, 64), image::Mask(64, 64, 1));
  EXPECT_THROW(meter.add(image::ImageF(64, 80), image::Mask(64, 80, 1)), Error);
  meter.add(image::ImageF(64, 64), image::Mask(64, 64, 1));
  EXPECT_THROW(meter.add(image::ImageF(64, 64), image::Mask(64, 64, 1)), Error);
  EXPECT_THROW(OpacificationMeter(0), Error);
}

}  // namespace
}  // namespace cmunet::vessel
