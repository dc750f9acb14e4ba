// SPDX-License-Identifier: Apache-2.0
#include "cmunet/cli/published_results.h"

namespace cmunet::cli {

std::span<const PublishedMethod> published_methods() {
  static constexpr auto kMethods = std::to_array<PublishedMethod>({
      {"scratch",
       0.417,
       0.248,
       3.929,
       31.04,
       {.375, .602, .664, .703, .708},
       {44.54, 19.01, 16.73, 14.23, 14.18},
       "distance of epoch 26, chosen epoch 125"},
      {"models_genesis",
       0.584,
       0.414,
       0.893,
       31.04,
       {.563, .641, .678, .696, .709},
       {22.71, 18.89, 17.63, 15.32, 14.04},
       "IoU and diameter difference from the logs; distance printed 22.72"},
      {"mae",
       0.589,
       0.410,
       1.066,
       31.04,
       {.557, .618, .669, .700, .705},
       {25.85, 19.54, 17.26, 15.36, 14.91},
       "distance of epoch 107, chosen epoch 121"},
      {"spark",
       0.537,
       0.369,
       1.564,
       34.18,
       {.521, .630, .665, .693, .705},
       {27.25, 18.32, 16.74, 14.99, 14.98},
       "IoU printed 0.370"},
      {"moco_v2",
       0.566,
       0.385,
       1.117,
       37.70,
       {.556, .647, .685, .710, .710},
       {24.56, 18.77, 16.23, 14.68, 15.01},
       "pooled over batches; parameters with the frozen key encoder"},
      {"cm_unet",
       0.628,
       0.457,
       0.965,
       121.49,
       {.626, .684, .700, .719, .738},
       {22.26, 18.78, 15.65, 13.58, 13.85},
       "pooled over batches; IoU and diameter difference from the logs; distance of epoch 112, chosen epoch 113"},
  });
  return kMethods;
}

std::span<const PublishedAgreement> published_agreement() {
  static constexpr auto kAgreement = std::to_array<PublishedAgreement>(
      {{18, 0.57, 0.90, -1.44, 3.23, ""},
       {522, 0.76, 0.03, -1.93, 1.86, "the middle of the limits is −0.035: a sign in print is wrong"}});
  return kAgreement;
}

}  // namespace cmunet::cli
