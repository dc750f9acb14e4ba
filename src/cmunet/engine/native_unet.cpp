// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/native_unet.h"

#include <algorithm>
#include <string>

#include "cmunet/base/error.h"
#include "cmunet/kernels/layers.h"

namespace cmunet::engine {

using kernels::Floats;
using kernels::padded_channels;
using kernels::readable;
using Map = kernels::Map<float>;

namespace {

// From here down a map of 512x512 px has at most 16x16 tiles.
constexpr std::size_t kFewTilesLevel = 3;

Floats zeros(std::size_t count) {
  Floats floats = kernels::allocate_floats(count);
  std::fill_n(floats.get(), count, 0.0F);
  return floats;
}

Floats padded_bias(const Convolution& convolution) {
  Floats bias = zeros(padded_channels(convolution.out));
  std::copy(convolution.bias.begin(), convolution.bias.end(), bias.get());
  return bias;
}

}  // namespace

PackedConvolution::PackedConvolution(const Convolution& c, const std::vector<std::size_t>& positions, bool few_tiles,
                                     const kernels::Workers& workers)
    : convolution({c.weights.data(), c.out, c.in}, positions, {.few_tiles = few_tiles, .large_tiles = true}, workers),
      bias(padded_bias(c)) {}

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

NativeUNet::NativeUNet(const UNetWeights& weights, kernels::ThreadPool& pool)
    : workers_(pool.workers()), base_width_(weights.base_width) {
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
      encoder_[l][i] = PackedConvolution(c, kernels::channel_positions(1, c.in), l >= kFewTilesLevel, workers_);
    }
  }
  for (std::size_t l = 0; l < kLevels; ++l) {
    const auto& [concatenated, second] = weights.decoder[l];
    const Convolution& up = weights.up[l];
    up_[l] = {{up.weights.data(), up.in, up.out, kernels::UpConvolution::Direction::kForward}, padded_bias(up)};
    const bool few_tiles = l >= kFewTilesLevel;
    decoder_[l][0] =
        PackedConvolution(concatenated, kernels::channel_positions(2, concatenated.out), few_tiles, workers_);
    decoder_[l][1] = PackedConvolution(second, kernels::channel_positions(1, second.in), few_tiles, workers_);
  }
  last_weights_ = zeros(width);
  for (std::size_t c = 0; c < base_width_; ++c) {
    last_weights_[c] = weights.last.weights[base_width_ + c] - weights.last.weights[c];
  }
  last_bias_ = weights.last.bias[1] - weights.last.bias[0];
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
    const auto add_scratch = [&](const Blocks& blocks) {
      for (const PackedConvolution& packed : blocks) {
        if (packed.convolution.in_channels() == 0) continue;
        scratch = std::max(scratch, packed.convolution.scratch_floats({nullptr, h, w}, workers_.threads));
      }
    };
    add_scratch(encoder_[l]);
    if (l < kLevels) add_scratch(decoder_[l]);
  }
  result.between = end;
  result.pooled = result.between + between;
  result.scratch = result.pooled + pooled;
  result.total = result.scratch + scratch;
  return result;
}

void NativeUNet::first_convolution(const float* grey, const Map& output) {
  constexpr std::size_t kRows = 8;
  workers_.run((output.height + kRows - 1) / kRows, [&](std::size_t block, std::size_t) {
    kernels::first_convolution(grey, first_weights_.get(), first_bias_.get(), true,
                               {block * kRows, std::min(output.height, (block + 1) * kRows)}, output);
  });
}

void NativeUNet::convolve(const PackedConvolution& packed, const Map& input, const Map& output, const Map& pooled,
                          float* scratch) {
  kernels::Epilogue epilogue;
  epilogue.bias = packed.bias.get();
  epilogue.pooled = pooled;
  const kernels::ConvolutionInput source{readable(input), {}};
  packed.convolution.run({&source, 1}, {&output, 1}, epilogue, nullptr, scratch, workers_);
}

// The softmax of two classes is the logistic function of their logits' difference.
void NativeUNet::last_convolution(const kernels::Map<const float>& input, float* probability) {
  workers_.run(input.height, [&](std::size_t y, std::size_t) {
    float* const row = probability + y * input.width;
    kernels::logit_difference(input.data + y * input.width * input.pixel_stride, input.pixel_stride, input.channels,
                              input.width, last_weights_.get(), last_bias_, row);
    kernels::logistic(row, input.width);
  });
}

void NativeUNet::forward(const float* grey, std::size_t height, std::size_t width, float* probability,
                         const LayerDone& done) {
  const Layout memory = layout(height, width);
  if (memory.total > memory_floats_) {
    memory_.reset();  // before, so that both need not fit
    memory_floats_ = 0;
    memory_ = kernels::allocate_floats(memory.total);
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
  const auto tell = [&](const char* block, std::size_t level, const char* layer, std::size_t taps_and_inputs) {
    if (!done) return;
    const std::size_t pixels = (height >> level) * (width >> level);
    done(concat(block, level == kLevels ? "" : std::to_string(level + 1), layer),
         pixels * taps_and_inputs * (base_width_ << level));
  };

  for (std::size_t l = 0; l <= kLevels; ++l) {
    const bool deepest = l == kLevels;
    const char* const block = deepest ? "double_conv" : "down_conv";
    const Map between = map(memory.between, l, channels(l));
    if (l == 0) {
      first_convolution(grey, between);
      tell(block, l, ".0", 9);
    } else {
      convolve(encoder_[l][0], map(memory.pooled, l, channels(l - 1)), between, {}, scratch);
      tell(block, l, ".0", 9 * (base_width_ << (l - 1)));
    }
    const Map result = deepest ? map(memory.pooled, l, channels(l)) : half(l, 1);
    const Map pooled = deepest ? Map{} : map(memory.pooled, l + 1, channels(l));
    convolve(encoder_[l][1], between, result, pooled, scratch);
    tell(block, l, ".1", 9 * (base_width_ << l));
  }
  Map features = map(memory.pooled, kLevels, channels(kLevels));
  for (std::size_t l = kLevels; l-- > 0;) {
    const std::size_t wide = base_width_ << (l + 1);
    up_[l].convolution.run(readable(features), up_[l].bias.get(), half(l, 0), workers_);
    tell("up_conv", l, ".up", wide);  // each output pixel has one tap
    const Map between = map(memory.between, l, channels(l));
    convolve(decoder_[l][0], map(memory.concatenated[l], l, 2 * channels(l)), between, {}, scratch);
    tell("up_conv", l, ".0", 9 * wide);
    features = map(memory.concatenated[l], l, channels(l));
    convolve(decoder_[l][1], between, features, {}, scratch);
    tell("up_conv", l, ".1", 9 * (base_width_ << l));
  }
  last_convolution(readable(features), probability);
  if (done) done("conv_last", height * width * base_width_);
}

}  // namespace cmunet::engine
