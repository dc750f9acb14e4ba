// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/native_unet.h"

#include <algorithm>

#include "cmunet/engine/kernels.h"

namespace cmunet::engine {

using kernels::kPanel;
using Map = kernels::Map<float>;

namespace {

// From here down a map of 512x512 px has at most 16x16 tiles.
constexpr std::size_t kFewTilesLevel = 3;

kernels::Map<const float> readable(const Map& map) {
  return {map.data, map.height, map.width, map.channels, map.pixel_stride};
}

Floats zeros(std::size_t count) {
  Floats floats = hwy::AllocateAligned<float>(count);
  std::fill_n(floats.get(), count, 0.0F);
  return floats;
}

}  // namespace

// Where the feature maps lie in one block of memory; offsets in floats.
//
// Each level keeps one map of twice its width: the upsampled features, then the skip, which the encoder writes straight
// to its place. The decoder's result overwrites that map when it has been read. What lives only from one convolution
// to the next shares two buffers.
struct NativeUNet::Layout {
  std::array<std::size_t, kLevels> concatenated;
  std::size_t between = 0;  // between the two convolutions of a block
  std::size_t pooled = 0;   // what goes down to the next level, and the bottleneck's result
  std::size_t scratch = 0;
  std::size_t total = 0;
};

NativeUNet::UpConvolution NativeUNet::pack_up(const Convolution& c) {
  UpConvolution up{padded_channels(c.in), padded_channels(c.out), {}, {}};
  up.weights = zeros(4 * up.in * up.out);
  up.bias = zeros(up.out);
  std::copy(c.bias.begin(), c.bias.end(), up.bias.get());
  for (std::size_t i = 0; i < c.in; ++i) {
    for (std::size_t o = 0; o < c.out; ++o) {
      for (std::size_t pixel = 0; pixel < 4; ++pixel) {
        const std::size_t panel = pixel * (up.out / kPanel) + o / kPanel;
        up.weights[(panel * up.in + i) * kPanel + o % kPanel] = c.weights[(i * c.out + o) * 4 + pixel];
      }
    }
  }
  return up;
}

NativeUNet::NativeUNet(const UNetWeights& weights, ThreadPool& pool) : pool_(pool), base_width_(weights.base_width) {
  const Convolution& first = weights.encoder[0][0];
  const std::size_t width = padded_channels(first.out);
  first_weights_ = zeros(9 * width);
  first_bias_ = zeros(width);
  std::copy(first.bias.begin(), first.bias.end(), first_bias_.get());
  for (std::size_t o = 0; o < first.out; ++o) {
    for (std::size_t tap = 0; tap < 9; ++tap) first_weights_[tap * width + o] = first.weights[o * 9 + tap];
  }
  for (std::size_t l = 0; l <= kLevels; ++l) {
    for (std::size_t i = l == 0 ? 1 : 0; i < 2; ++i) {
      const Convolution& c = weights.encoder[l][i];
      encoder_[l][i] = WinogradConvolution(c, channel_positions(1, c.in), l >= kFewTilesLevel, pool);
    }
  }
  for (std::size_t l = 0; l < kLevels; ++l) {
    const auto& [concatenated, second] = weights.decoder[l];
    up_[l] = pack_up(weights.up[l]);
    decoder_[l][0] =
        WinogradConvolution(concatenated, channel_positions(2, concatenated.out), l >= kFewTilesLevel, pool);
    decoder_[l][1] = WinogradConvolution(second, channel_positions(1, second.in), l >= kFewTilesLevel, pool);
  }
  last_weights_ = zeros(width);
  for (std::size_t c = 0; c < base_width_; ++c) {
    last_weights_[c] = weights.last.weights[base_width_ + c] - weights.last.weights[c];
  }
  last_bias_ = weights.last.bias[1] - weights.last.bias[0];
}

std::size_t NativeUNet::weight_bytes() const {
  std::size_t bytes = 0;
  for (const Blocks& blocks : encoder_) bytes += blocks[0].weight_bytes() + blocks[1].weight_bytes();
  for (const Blocks& blocks : decoder_) bytes += blocks[0].weight_bytes() + blocks[1].weight_bytes();
  for (const UpConvolution& up : up_) bytes += 4 * up.in * up.out * sizeof(float);
  return bytes;
}

NativeUNet::Layout NativeUNet::layout(std::size_t height, std::size_t width) const {
  Layout result;
  std::size_t end = 0, between = 0, pooled = 0, scratch = 0;
  for (std::size_t l = 0; l <= kLevels; ++l) {
    const std::size_t h = height >> l, w = width >> l, channels = padded_channels(base_width_ << l);
    if (l < kLevels) {
      result.concatenated[l] = end;
      end += h * w * 2 * channels;
      pooled = std::max(pooled, h / 2 * (w / 2) * channels);
    } else {
      pooled = std::max(pooled, h * w * channels);
    }
    between = std::max(between, h * w * channels);
    for (const WinogradConvolution& c : encoder_[l]) {
      if (c.in_channels() > 0) scratch = std::max(scratch, c.scratch_floats(h, w, pool_.size()));
    }
    if (l == kLevels) continue;
    for (const WinogradConvolution& c : decoder_[l]) {
      scratch = std::max(scratch, c.scratch_floats(h, w, pool_.size()));
    }
  }
  result.between = end;
  result.pooled = result.between + between;
  result.scratch = result.pooled + pooled;
  result.total = result.scratch + scratch;
  return result;
}

void NativeUNet::first_convolution(const float* grey, const Map& output) {
  constexpr std::size_t kRows = 8;
  pool_.run((output.height + kRows - 1) / kRows, [&](std::size_t block, std::size_t) {
    kernels::first_convolution(grey, first_weights_.get(), first_bias_.get(), block * kRows,
                               std::min(output.height, (block + 1) * kRows), output);
  });
}

void NativeUNet::upsample(const UpConvolution& up, const kernels::Map<const float>& input, const Map& output) {
  // A task keeps its weights in the second-level cache: all of them and some rows, or few of them and every row.
  constexpr std::size_t kWeightBytes = 256 << 10;
  const std::size_t panels = up.out / kPanel, panel_floats = up.in * kPanel;
  const bool few_weights = 4 * panels * panel_floats * sizeof(float) <= kWeightBytes;
  const std::size_t panels_at_once = few_weights ? panels : std::min<std::size_t>(2, panels);
  const std::size_t rows_at_once = few_weights ? 4 : input.height;
  const std::size_t panel_groups = (panels + panels_at_once - 1) / panels_at_once;
  const std::size_t row_groups = (input.height + rows_at_once - 1) / rows_at_once;
  pool_.run(row_groups * 4 * panel_groups, [&](std::size_t task, std::size_t) {
    const std::size_t rows = task / (4 * panel_groups), pixel = task / panel_groups % 4;
    const std::size_t panel = task % panel_groups * panels_at_once, count = std::min(panels_at_once, panels - panel);
    const float* weights = up.weights.get() + (pixel * panels + panel) * panel_floats;
    for (std::size_t y = rows * rows_at_once; y < std::min(input.height, (rows + 1) * rows_at_once); ++y) {
      const std::size_t first = (2 * y + pixel / 2) * output.width + pixel % 2;
      kernels::multiply(input.data + y * input.width * input.pixel_stride, input.pixel_stride, input.width, weights,
                        count, up.in, {up.bias.get() + panel * kPanel},
                        output.data + first * output.pixel_stride + panel * kPanel, 2 * output.pixel_stride);
    }
  });
}

void NativeUNet::last_convolution(const kernels::Map<const float>& input, float* logits) {
  pool_.run(input.height, [&](std::size_t y, std::size_t) {
    kernels::logit_difference(input.data + y * input.width * input.pixel_stride, input.pixel_stride, input.channels,
                              input.width, last_weights_.get(), last_bias_, logits + y * input.width);
  });
}

void NativeUNet::forward(const float* grey, std::size_t height, std::size_t width, float* logits) {
  const Layout memory = layout(height, width);
  if (memory.total > memory_floats_) {
    memory_.reset();
    memory_ = hwy::AllocateAligned<float>(memory.total);
    memory_floats_ = memory.total;
  }
  float* const base = memory_.get();
  float* const scratch = base + memory.scratch;
  const auto channels = [&](std::size_t level) { return padded_channels(base_width_ << level); };
  const auto map = [&](std::size_t offset, std::size_t level, std::size_t count) {
    return Map{base + offset, height >> level, width >> level, count, count};
  };
  const auto half = [&](std::size_t level, std::size_t which) {  // of a concatenated map: 0 upsampled, 1 skip
    const std::size_t c = channels(level);
    return Map{base + memory.concatenated[level] + which * c, height >> level, width >> level, c, 2 * c};
  };

  for (std::size_t l = 0; l <= kLevels; ++l) {
    const Map between = map(memory.between, l, channels(l));
    if (l == 0) {
      first_convolution(grey, between);
    } else {
      encoder_[l][0].run(readable(map(memory.pooled, l, channels(l - 1))), between, {}, scratch, pool_);
    }
    const bool deepest = l == kLevels;
    const Map result = deepest ? map(memory.pooled, l, channels(l)) : half(l, 1);
    const Map pooled = deepest ? Map{} : map(memory.pooled, l + 1, channels(l));
    encoder_[l][1].run(readable(between), result, pooled, scratch, pool_);
  }
  Map features = map(memory.pooled, kLevels, channels(kLevels));
  for (std::size_t l = kLevels; l-- > 0;) {
    upsample(up_[l], readable(features), half(l, 0));
    const Map between = map(memory.between, l, channels(l));
    decoder_[l][0].run(readable(map(memory.concatenated[l], l, 2 * channels(l))), between, {}, scratch, pool_);
    features = map(memory.concatenated[l], l, channels(l));
    decoder_[l][1].run(readable(between), features, {}, scratch, pool_);
  }
  last_convolution(readable(features), logits);
}

}  // namespace cmunet::engine
