// SPDX-License-Identifier: Apache-2.0
// Everything of a chest that is no vessel, as attenuation (the exponent of Beer-Lambert's law, no unit).
#pragma once

#include "cmunet/base/random.h"
#include "cmunet/image/image.h"

namespace cmunet::phantom {

/// Soft tissue, lung texture, heart, spine, ribs and diaphragm.
image::ImageF make_background(int size, Rng& rng);

/// A catheter from the edge of the field to the ostium at (y, x), with a bend; diameter in px.
image::ImageF make_catheter(int size, double ostium_y, double ostium_x, double diameter_px, Rng& rng);

/// 1 inside the collimator's opening: a circle or a square with rounded corners.
image::Mask make_collimator(int size, Rng& rng);

/// Gaussian blur with reflected borders.
image::ImageF gaussian_blur(const image::ImageF& image, double sigma_px);

}  // namespace cmunet::phantom
