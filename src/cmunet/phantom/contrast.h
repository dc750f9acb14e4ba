// SPDX-License-Identifier: Apache-2.0
// What contrast medium and the catheter take from the rays.
#pragma once

#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/image/image.h"
#include "cmunet/phantom/camera.h"
#include "cmunet/phantom/tree.h"

namespace cmunet::phantom {

/// How dense the contrast medium is and how fast it thins out.
struct Injection {
  double per_mm = 0.17;  ///< attenuation of a millimetre at the ostium
  double fade_mm = 400;  ///< way over which the concentration falls to 1/e
};
Injection draw_injection(Rng& rng);

/// Attenuation (the exponent of Beer-Lambert's law) of a catheter and the tree that it fills. `flat` holds the
/// projected branches of `tree`, `catheter` a projected course that ends at the ostium.
image::ImageF attenuation_of_contrast(const std::vector<TreeBranch>& tree,
                                      const std::vector<std::vector<FlatPoint>>& flat,
                                      const std::vector<FlatPoint>& catheter, const Injection& injection, int size,
                                      double spacing_mm);

/// The way of a catheter from the aortic arch to the ostium, in space. Radius 1 mm (6 French).
std::vector<TreePoint> make_catheter(const Heart& heart, const Vec3& ostium, Rng& rng);

}  // namespace cmunet::phantom
