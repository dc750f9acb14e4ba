// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/winograd_convolution.h"

#include <algorithm>

namespace cmunet::engine {

using kernels::kPanel;
using kernels::kPositions;
using kernels::kTile;
using kernels::kWindow;

namespace {

// Measured on AVX-512 cores with 1 MB of second-level cache each and 32 MB of third. What a thread's transformed tiles
// may take of its second-level cache, and what weights may take before it pays that the threads share one large block
// of tiles instead of each reading all weights for its own.
constexpr std::size_t kTileBytes = 384 << 10;
constexpr std::size_t kWeightBytes = 6 << 20;
// Scratch memory of a shared block.
constexpr std::size_t kSharedBytes = 24 << 20;
// A multiple of the rows that the multiplication takes at once.
constexpr std::size_t kTileStep = 12;

// G of F(4×4, 3×3).
constexpr double kG[kWindow][3] = {{1.0 / 4, 0, 0},
                                   {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                   {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                   {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                   {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                   {0, 0, 1}};

// G·g·Gᵀ of one 3×3 filter, the values `stride` apart.
void transform_filter(const float* filter, float* out, std::size_t stride) {
  double half[kWindow][3];
  for (std::size_t a = 0; a < kWindow; ++a) {
    for (std::size_t x = 0; x < 3; ++x) {
      half[a][x] = kG[a][0] * double{filter[x]} + kG[a][1] * double{filter[3 + x]} + kG[a][2] * double{filter[6 + x]};
    }
  }
  for (std::size_t a = 0; a < kWindow; ++a) {
    for (std::size_t b = 0; b < kWindow; ++b) {
      const double value = half[a][0] * kG[b][0] + half[a][1] * kG[b][1] + half[a][2] * kG[b][2];
      out[(a * kWindow + b) * stride] = static_cast<float>(value);
    }
  }
}

std::size_t tiles_in(std::size_t height, std::size_t width) {
  return ((height + kTile - 1) / kTile) * ((width + kTile - 1) / kTile);
}

// An odd number of cache lines: positions a power of two apart would all fall into the same cache set.
std::size_t stride_of(std::size_t floats) { return (floats / kPanel | 1) * kPanel; }

}  // namespace

std::size_t padded_channels(std::size_t channels) { return (channels + kPanel - 1) / kPanel * kPanel; }

std::vector<std::size_t> channel_positions(std::size_t parts, std::size_t channels_per_part) {
  std::vector<std::size_t> positions;
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t c = 0; c < padded_channels(channels_per_part); ++c) {
      positions.push_back(c < channels_per_part ? part * channels_per_part + c : kNoChannel);
    }
  }
  return positions;
}

WinogradConvolution::WinogradConvolution(const Convolution& convolution, const std::vector<std::size_t>& positions,
                                         ThreadPool& pool)
    : in_(positions.size()), out_(padded_channels(convolution.out)) {
  const std::size_t count = kPositions * out_ * in_;
  weights_ = hwy::AllocateAligned<float>(count);
  bias_ = hwy::AllocateAligned<float>(out_);
  std::fill_n(bias_.get(), out_, 0.0F);
  std::copy(convolution.bias.begin(), convolution.bias.end(), bias_.get());
  pool.run(out_ / kPanel, [&](std::size_t panel, std::size_t) {
    for (std::size_t i = 0; i < in_; ++i) {
      for (std::size_t lane = 0; lane < kPanel; ++lane) {
        float* target = weights_.get() + (panel * in_ + i) * kPanel + lane;
        const std::size_t o = panel * kPanel + lane;
        if (o < convolution.out && positions[i] != kNoChannel) {
          transform_filter(convolution.weights.data() + (o * convolution.in + positions[i]) * 9, target, out_ * in_);
        } else {
          for (std::size_t p = 0; p < kPositions; ++p) target[p * out_ * in_] = 0;
        }
      }
    }
  });
}

WinogradConvolution::Plan WinogradConvolution::plan(std::size_t tiles, std::size_t threads) const {
  const std::size_t bytes_per_tile = kPositions * (in_ + out_) * sizeof(float);
  const bool shared = kPositions * in_ * out_ * sizeof(float) > kWeightBytes;
  const std::size_t budget = shared ? kSharedBytes : kTileBytes;
  std::size_t at_once = std::max(budget / bytes_per_tile / kTileStep, std::size_t{1}) * kTileStep;
  // Enough blocks that no thread waits long for the last one.
  if (!shared) at_once = std::min(at_once, std::max(kTileStep, tiles / (4 * threads) / kTileStep * kTileStep));
  return {std::min(at_once, tiles), shared};
}

std::size_t WinogradConvolution::input_stride(std::size_t tiles) const { return stride_of(tiles * in_); }
std::size_t WinogradConvolution::output_stride(std::size_t tiles) const { return stride_of(tiles * out_); }

std::size_t WinogradConvolution::scratch_floats(std::size_t height, std::size_t width, std::size_t threads) const {
  const Plan p = plan(tiles_in(height, width), threads);
  const std::size_t one = kPositions * (input_stride(p.tiles_at_once) + output_stride(p.tiles_at_once));
  return p.shared ? one : one * threads;
}

void WinogradConvolution::run(const kernels::Map<const float>& input, const kernels::Map<float>& output,
                              const kernels::Map<float>& pooled, float* scratch, ThreadPool& pool) const {
  const std::size_t tiles = tiles_in(input.height, input.width), panels = out_ / kPanel;
  const Plan p = plan(tiles, pool.size());
  const std::size_t in_stride = input_stride(p.tiles_at_once), out_stride = output_stride(p.tiles_at_once);
  const std::size_t per_thread = kPositions * (in_stride + out_stride);
  const std::size_t blocks = (tiles + p.tiles_at_once - 1) / p.tiles_at_once;
  const auto block_tiles = [&](std::size_t block) {
    const std::size_t first = block * p.tiles_at_once;
    return kernels::Tiles{first, std::min(p.tiles_at_once, tiles - first)};
  };
  const auto multiply = [&](const float* v, float* m, std::size_t position, std::size_t count) {
    kernels::multiply(v + position * in_stride, in_, count, weights_.get() + position * out_ * in_, panels, in_,
                      nullptr, m + position * out_stride, out_);
  };
  if (!p.shared) {
    pool.run(blocks, [&](std::size_t block, std::size_t thread) {
      float* v = scratch + thread * per_thread;
      float* m = v + kPositions * in_stride;
      const kernels::Tiles range = block_tiles(block);
      kernels::winograd_input(input, range, {v, in_stride});
      for (std::size_t position = 0; position < kPositions; ++position) multiply(v, m, position, range.count);
      kernels::winograd_output({m, out_stride}, range, bias_.get(), output, pooled);
    });
    return;
  }
  float* v = scratch;
  float* m = v + kPositions * in_stride;
  for (std::size_t block = 0; block < blocks; ++block) {
    const kernels::Tiles range = block_tiles(block);
    pool.run(range.count, [&](std::size_t t, std::size_t) {
      kernels::winograd_input(input, {range.first + t, 1}, {v + t * in_, in_stride});
    });
    pool.run(kPositions, [&](std::size_t position, std::size_t) { multiply(v, m, position, range.count); });
    pool.run(range.count, [&](std::size_t t, std::size_t) {
      kernels::winograd_output({m + t * out_, out_stride}, {range.first + t, 1}, bias_.get(), output, pooled);
    });
  }
}

}  // namespace cmunet::engine
