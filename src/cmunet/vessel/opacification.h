// SPDX-License-Identifier: Apache-2.0
// How far the arteries of a run are filled with contrast medium, frame by frame, and in which frame they show best.
#pragma once

#include <functional>
#include <vector>

#include "cmunet/image/image.h"

namespace cmunet::vessel {

/// The filling of a run over its frames.
struct Opacification {
  std::vector<double> score;     ///< one a frame: mean gain in tube response over the field, ≥ 0; see below
  std::vector<double> smoothed;  ///< moving mean of five frames, as far as there are so many
  int best_frame = 0;            ///< 0-based: where `smoothed` is highest, the first of equals
  bool fills = false;            ///< contrast medium visibly arrives; otherwise `best_frame` is a weak guess
};

/// Feeds on the frames of one run in their order and keeps a few small maps of them, never the frames.
///
/// A frame's score: on a grid of at most 256 px a side, the logarithm of the grey values (attenuation adds up there,
/// and exposure drops out), its tube response (vesselness.h), and of this what exceeds the strongest response that the
/// early frames show within 2 % of the side, averaged over the field. Ribs, catheter, collimator and the diaphragm are
/// in the early frames and the neighbourhood lets them move; what remains are vessels that were not there before.
/// Early frames are the first five, or the first sixth of a shorter run; their own score is 0.
class OpacificationMeter {
 public:
  /// @param frames  of the whole run. @param is_log  grey values are logarithms of the intensity already
  /// @throws Error kInvalidArgument unless frames is positive.
  explicit OpacificationMeter(int frames, bool is_log = false);

  /// @param frame  [0, 255], arteries dark, all of one size. @param field  1 where the picture is; same size
  /// @throws Error kInvalidArgument on a different size, less than 32 px a side, or more frames than announced.
  void add(const image::ImageF& frame, const image::Mask& field);

  /// Of the frames so far. @throws Error kInvalidArgument before the first frame.
  Opacification result() const;

 private:
  int frames_;
  int early_frames_;
  bool is_log_;
  image::ImageF reference_;  // strongest response of the early frames, then also over the neighbourhood
  std::vector<double> score_;
};

/// The whole run at once: `frame(i)` is called once for each i in 0 … frames − 1, in order.
Opacification measure_opacification(int frames, const std::function<image::ImageF(int)>& frame,
                                    const image::Mask& field, bool is_log = false);

}  // namespace cmunet::vessel
