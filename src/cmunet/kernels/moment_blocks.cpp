// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/moment_blocks.h"

namespace cmunet::kernels {

MomentBlocks::MomentBlocks(std::size_t blocks, std::size_t channels)
    : channels_(channels), pixels_(blocks, 0), memory_(allocate_floats(3 * blocks * channels)) {}

Moments MomentBlocks::block(std::size_t index, std::size_t pixels) {
  pixels_[index] = pixels;
  float* base = memory_.get() + 3 * index * channels_;
  return {base, base + channels_, base + 2 * channels_};
}

// Chan, Golub & LeVeque 1979: means and squared deviations of two sets give those of their union.
MomentBlocks::Statistics MomentBlocks::statistics() const {
  Statistics joined{std::vector<double>(channels_, 0.0), std::vector<double>(channels_, 0.0), 0};
  for (std::size_t b = 0; b < pixels_.size(); ++b) {
    if (pixels_[b] == 0) continue;
    const float* block = memory_.get() + 3 * b * channels_;
    const auto n = static_cast<double>(pixels_[b]), before = static_cast<double>(joined.pixels);
    for (std::size_t c = 0; c < channels_; ++c) {
      const double shift = double{block[channels_ + c]} / n;
      const double deviation = double{block[2 * channels_ + c]} - shift * shift * n;
      const double distance = double{block[c]} + shift - joined.mean[c];
      joined.variance[c] += deviation + distance * distance * before * n / (before + n);
      joined.mean[c] += distance * n / (before + n);
    }
    joined.pixels += pixels_[b];
  }
  for (double& v : joined.variance) v /= static_cast<double>(joined.pixels);
  return joined;
}

MomentBlocks::Totals MomentBlocks::totals() const {
  Totals totals{std::vector<double>(channels_, 0.0), std::vector<double>(channels_, 0.0)};
  for (std::size_t b = 0; b < pixels_.size(); ++b) {
    if (pixels_[b] == 0) continue;
    const float* block = memory_.get() + 3 * b * channels_;
    for (std::size_t c = 0; c < channels_; ++c) {
      totals.sum[c] += double{block[channels_ + c]};
      totals.product[c] += double{block[2 * channels_ + c]};
    }
  }
  return totals;
}

}  // namespace cmunet::kernels
