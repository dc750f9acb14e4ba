// SPDX-License-Identifier: Apache-2.0
// The paper's preprocessing as one chain with switches: from an angiogram of any size to what a network sees.
//
//   image: square box (crop, mirrored where it reaches beyond) ▶ corners ▶ unsharp ▶ resize bicubic ▶ z-score
//   mask:  smoothing ▶ the same box ▶ resize nearest
//
// The defaults are what a new user's images need; configs/paper.toml has every step on.
#pragma once

#include <string>

#include "cmunet/base/config.h"
#include "cmunet/base/json.h"
#include "cmunet/image/image.h"
#include "cmunet/preprocess/grid_map.h"
#include "cmunet/preprocess/steps.h"

namespace cmunet::preprocess {

/// How an image that is not square becomes square when `crop` is 0. Neither stretches it.
enum class Squaring {
  kPad,   ///< mirrored beyond its longer sides: nothing is lost
  kCrop,  ///< the largest square in the middle: nothing is made up
};

enum class Normalise {
  kNone,      ///< grey values stay
  kPerImage,  ///< each image by its own mean and standard deviation
  kDataset,   ///< all by `dataset_mean` and `dataset_sd`
};

struct Options {
  MaskSmoothing mask_smoothing = MaskSmoothing::kMajority;
  int crop = 0;                      ///< side of a square box in the middle, source px; 0 takes the whole image
  Squaring square = Squaring::kPad;  ///< used when crop is 0
  bool inpaint_corners = false;
  CornerInpainting inpaint;  ///< used when inpaint_corners is on
  bool unsharp = false;
  double unsharp_radius = 60;  ///< standard deviation of the Gaussian, source px
  double unsharp_amount = 1;   ///< 0 leaves the image as it is; higher lifts fine structure
  int size = 256;              ///< side of the result, px; a multiple of 16, as the UNet halves four times
  Normalise normalise = Normalise::kPerImage;
  double dataset_mean = 0, dataset_sd = 0;  ///< of the training images after all other steps; sd 0: not measured yet

  /// @throws Error kInvalidArgument "[prepare] key is …; expected …".
  void check() const;
};

/// Keys "prepare.…".
void describe(Options& options, Fields& fields);
/// A flat object, one member per key without "prepare.".
Json to_json(const Options& options);
/// The inverse of `to_json`; `origin` names the file in errors.
/// @throws Error kCorrupt on an unknown or missing key, a wrong type or a value that `check` refuses.
Options options_from_json(const Json& json, const std::string& origin);

/// What a network sees of an image.
struct Prepared {
  image::ImageF image;  ///< size × size; z-scored unless normalise is kNone; spacing on this grid when known
  GridMap map;
};

/// The box and grid that images of this size get. @throws Error kInvalidArgument for an empty size;
/// kUnsupported when the box would have more than 2^28 pixels, as when a very long image is padded to a square.
GridMap grid_map_for(int source_height, int source_width, const Options& options);

/// @param grey_0_255  any size. @throws Error as `grid_map_for`; kInvalidArgument on NaN or infinite values, and in
/// mode kDataset without a measured standard deviation.
Prepared prepare_image(const image::ImageF& grey_0_255, const Options& options);

/// The mask on the same grid as `prepare_image` gives for an image of its size.
/// @throws Error as `grid_map_for`; kInvalidArgument when a value is neither 0 nor 1.
image::Mask prepare_mask(const image::Mask& mask, const Options& options);

}  // namespace cmunet::preprocess
