// SPDX-License-Identifier: Apache-2.0
// From attenuation to the picture on the screen: collimator, focal spot, quanta, detector, display.
#pragma once

#include <cstdint>

#include "cmunet/base/random.h"
#include "cmunet/image/image.h"
#include "cmunet/phantom/phantom.h"

namespace cmunet::phantom {

/// 1 inside the collimator's opening: a circle, or a rectangle with rounded corners; often all of the picture.
image::Mask make_collimator(int size, Rng& rng);

/// The 8-bit picture. The exposure is such that the median of the opening receives `options.photons` quanta.
image::Image<std::uint8_t> expose(const image::ImageF& attenuation, const image::Mask& open, const Options& options,
                                  Rng& rng);

/// Gaussian blur, cut off at three standard deviations; borders are continued by their last pixel.
image::ImageF gaussian_blur(const image::ImageF& image, double sigma_px);

}  // namespace cmunet::phantom
