// SPDX-License-Identifier: Apache-2.0
// Everything of a chest that is no vessel of the heart, as attenuation (the exponent of Beer-Lambert's law, no unit).
#pragma once

#include "cmunet/base/random.h"
#include "cmunet/image/image.h"
#include "cmunet/phantom/camera.h"
#include "cmunet/phantom/heart.h"

namespace cmunet::phantom {

/// Soft tissue, heart, lung with its vessels, spine, ribs and diaphragm, seen by the camera; size x size pixels.
/// Only differences matter: the mean is arbitrary. Its finest detail is that of 256 pixels a side.
image::ImageF make_background(int size, double field_mm, const Heart& heart, const Camera& camera, Rng& rng);

}  // namespace cmunet::phantom
