// SPDX-License-Identifier: Apache-2.0
// What Models Genesis does to an image before a network restores it, from the published description (Zhou et al.,
// Medical Image Analysis 2021). An independent implementation. Each function changes one picture on the host in place.
#pragma once

#include <vector>

#include "cmunet/base/config.h"
#include "cmunet/base/random.h"

namespace cmunet::augment {

/// One channel, row by row, on the host.
struct Picture {
  float* values = nullptr;
  int height = 0, width = 0;
  float& at(int y, int x) const { return values[static_cast<std::ptrdiff_t>(y) * width + x]; }
};

/// Probabilities and sizes of the distortions, as shares of the image's side where they are lengths. The defaults are
/// the two-dimensional adaptation that the paper compares with.
struct DistortionOptions {
  double shuffle_probability = 0.5;                ///< of local pixel shuffling
  double shuffle_density = 10000.0 / (256 * 256);  ///< windows per pixel of the image
  double shuffle_window_max = 10.0 / 256;          ///< largest side of a window
  double intensity_probability = 0.9;              ///< of the non-linear change of grey values
  double painting_probability = 0.9;               ///< of in-painting or out-painting
  double inpainting_share = 0.2;                   ///< of in-painting among these; the rest is out-painting
  double repeat_probability = 0.95;                ///< that another box follows, up to five

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};
/// Binds the keys of [pretrain.models_genesis].
void describe(DistortionOptions& options, Fields& fields);

/// A grey-value curve as points with ascending x: what `through_curve` interpolates between.
struct Curve {
  std::vector<double> x, y;
};

/// A cubic Bézier curve from (low, low) to (high, high) whose two inner control points are uniform in the square. Both
/// coordinates of its points are sorted, so that the curve is monotone; for a falling one y is in falling order.
Curve random_curve(double low, double high, bool falling, Rng& rng);

/// Replaces every value by the curve's y, linear between points.
void through_curve(const Picture& picture, const Curve& curve);

/// Permutes the pixels inside `windows` windows of random place and side 1…window_max; each reads the original, so that
/// overlapping windows do not add up.
void shuffle_locally(const Picture& picture, int windows, int window_max, Rng& rng);

/// Fills up to five boxes, of sides between a sixth and a third of the image's, with noise uniform in [low, high).
void paint_inside(const Picture& picture, double repeat_probability, float low, float high, Rng& rng);

/// Fills everything with noise but one to five boxes, the first of sides between 3/7 and 5/7 of the image's, others
/// between 3/7 and 4/7.
void paint_outside(const Picture& picture, double repeat_probability, float low, float high, Rng& rng);

/// All of them in the published order (shuffling, intensity, painting), each with its probability; noise spans the
/// picture's own range.
void distort(const Picture& picture, const DistortionOptions& options, Rng& rng);

}  // namespace cmunet::augment
