// SPDX-License-Identifier: Apache-2.0
// From a decoded angiogram to the network's input, and the same geometry for its mask. One set of options serves
// training and prediction; it is stored with data sets and models.
// Order, image: window -> corner inpainting -> unsharp mask -> bicubic resampling -> normalisation.
// Order, mask:  smoothing -> window -> nearest resampling.
#pragma once

#include <string>

#include "cmunet/base/config.h"
#include "cmunet/base/json.h"
#include "cmunet/image/image.h"
#include "cmunet/preprocess/grid_map.h"

namespace cmunet::preprocess {

/// What is done to masks before anything else.
enum class MaskSmoothing {
  kNone,
  kMajority,  ///< 3 x 3 majority: smooths edges, fills pin holes, drops single pixels
  kContour,   ///< thickens the vessel by about one pixel along its border, closing one-pixel gaps
};

/// How grey values become the network's input.
enum class Normalise {
  kPerImage,  ///< mean 0 and population standard deviation 1 of each image; a constant image becomes 0
  kDataset,   ///< (value - dataset_mean) / dataset_sd
  kNone,      ///< grey values as they are
};

/// Keys "prepare.<member>". Grey values are in [0, 255], lengths in pixels of the source.
struct Options {
  MaskSmoothing mask_smoothing = MaskSmoothing::kNone;
  int crop = 0;  ///< side of the centred square window; 0 keeps everything, padding the shorter side by reflection
  bool inpaint_corners = false;       ///< fill the dark corners that a round or cut image field leaves
  int inpaint_threshold = 30;         ///< grey up to which a corner pixel counts as dark; raising fills more
  double inpaint_corner_frac = 0.30;  ///< side of the corner squares as a share of the shorter side, (0, 0.5]
  int inpaint_min_pixels = 100;       ///< with fewer dark corner pixels than this the image stays as it is
  int inpaint_radius_px = 3;          ///< neighbourhood of Telea's method; larger is smoother and slower
  bool unsharp = false;               ///< add back what a wide Gaussian takes away: local contrast
  double unsharp_radius = 60;         ///< the Gaussian's standard deviation
  double unsharp_amount = 1;          ///< 0 changes nothing
  int size = 256;                     ///< side of the network's grid
  Normalise normalise = Normalise::kPerImage;
  double dataset_mean = 0;
  double dataset_sd = 1;
  bool operator==(const Options&) const = default;

  /// @throws Error kInvalidArgument naming the key.
  void check() const;
};

/// Keys "prepare.*".
void describe(Options& options, Fields& fields);

/// All options as one flat object, keys without "prepare.".
Json to_json(const Options& options);
/// @throws Error kCorrupt naming `origin`: a key is missing, unknown or of the wrong type, or a value is out of range.
Options options_from_json(const Json& json, const std::string& origin);

/// An image ready for the network, with the way back to its source.
struct Prepared {
  image::ImageF image;  ///< [size, size]
  GridMap map;
};

/// `grey` [H, W] in [0, 255]. Spacing follows the resampling.
/// @throws Error kInvalidArgument on an empty image, values that are not finite, or options out of range.
Prepared prepare_image(const image::ImageF& grey, const Options& options);

/// `mask` [H, W] in {0, 1}, to [size, size] in {0, 1} on the same grid as `prepare_image`.
/// @throws Error kInvalidArgument on an empty mask, values other than 0 and 1, or options out of range.
image::Mask prepare_mask(const image::Mask& mask, const Options& options);

}  // namespace cmunet::preprocess
