// SPDX-License-Identifier: Apache-2.0
#include "cmunet/engine/winograd_convolution.h"

#include <algorithm>

namespace cmunet::engine {

using kernels::kPanel;
using kernels::kPositions;
using kernels::kTile;

namespace {

// Measured on AVX-512 cores with 1 MB of second-level cache each and 32 MB of third.
// What a thread's transformed tiles may take of its second-level cache,
constexpr std::size_t kTileBytes = 384 << 10;
// what transformed filters may take that every thread reads for every block of tiles,
constexpr std::size_t kFilterBytes = 6 << 20;
// and how much memory a block of tiles that all threads share may take.
constexpr std::size_t kSharedBytes = 24 << 20;
// A multiple of the rows that the multiplication takes at once.
constexpr std::size_t kTileStep = 12;
// Filters that are transformed on the way: 36 · 128 · 32 floats stay in the second-level cache while they are used.
constexpr std::size_t kDepthAtOnce = 128;
constexpr std::size_t kPanelsAtOnce = 2;
constexpr std::size_t kFilterFloats = kPositions * (kPanelsAtOnce * kDepthAtOnce + 1) * kPanel;

std::size_t tiles_in(std::size_t height, std::size_t width) {
  return ((height + kTile - 1) / kTile) * ((width + kTile - 1) / kTile);
}

// An odd number of cache lines: positions a power of two apart would all fall into the same cache set.
std::size_t stride_of(std::size_t floats) { return (floats / kPanel | 1) * kPanel; }

kernels::Tiles block_of(std::size_t tiles, std::size_t at_once, std::size_t block) {
  const std::size_t first = block * at_once;
  return {first, std::min(at_once, tiles - first)};
}

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
                                         bool few_tiles, ThreadPool& pool)
    : in_(positions.size()), out_(padded_channels(convolution.out)) {
  transformed_ = !few_tiles && kPositions * in_ * out_ * sizeof(float) <= kFilterBytes;
  const std::size_t panels = out_ / kPanel, filter_floats = in_ * 9 * kPanel;  // of one panel
  Floats filters = hwy::AllocateAligned<float>(panels * filter_floats);
  pool.run(panels, [&](std::size_t panel, std::size_t) {
    float* target = filters.get() + panel * filter_floats;
    std::fill_n(target, filter_floats, 0.0F);
    for (std::size_t lane = 0; lane < std::min(kPanel, convolution.out - panel * kPanel); ++lane) {
      const float* source = convolution.weights.data() + (panel * kPanel + lane) * convolution.in * 9;
      for (std::size_t i = 0; i < in_; ++i) {
        if (positions[i] == kNoChannel) continue;
        for (std::size_t tap = 0; tap < 9; ++tap) {
          target[(i * 9 + tap) * kPanel + lane] = source[positions[i] * 9 + tap];
        }
      }
    }
  });
  if (transformed_) {
    weights_ = hwy::AllocateAligned<float>(kPositions * in_ * out_);
    for (std::size_t panel = 0; panel < panels; ++panel) {
      kernels::winograd_filters(filters.get() + panel * filter_floats, in_, in_ * out_,
                                weights_.get() + panel * in_ * kPanel);
    }
  } else {
    weights_ = std::move(filters);
  }
  bias_ = hwy::AllocateAligned<float>(out_);
  std::fill_n(bias_.get(), out_, 0.0F);
  std::copy(convolution.bias.begin(), convolution.bias.end(), bias_.get());
}

std::size_t WinogradConvolution::tiles_at_once(std::size_t tiles, std::size_t threads) const {
  const std::size_t bytes_per_tile = kPositions * (in_ + out_) * sizeof(float);
  const std::size_t budget = transformed_ ? kTileBytes : kSharedBytes;
  std::size_t at_once = std::max(budget / bytes_per_tile / kTileStep, std::size_t{1}) * kTileStep;
  // Enough blocks that no thread waits long for the last one.
  if (transformed_) at_once = std::min(at_once, std::max(kTileStep, tiles / (4 * threads) / kTileStep * kTileStep));
  return std::min(at_once, tiles);
}

std::size_t WinogradConvolution::input_stride(std::size_t tiles) const { return stride_of(tiles * in_); }
std::size_t WinogradConvolution::output_stride(std::size_t tiles) const { return stride_of(tiles * out_); }

std::size_t WinogradConvolution::scratch_floats(std::size_t height, std::size_t width, std::size_t threads) const {
  const std::size_t block = tiles_at_once(tiles_in(height, width), threads);
  const std::size_t tiles = kPositions * (input_stride(block) + output_stride(block));
  return transformed_ ? tiles * threads : tiles + threads * kFilterFloats;
}

void WinogradConvolution::run(const Input& input, const Output& output, const Output& pooled, float* scratch,
                              ThreadPool& pool) const {
  if (transformed_) {
    run_transformed(input, output, pooled, scratch, pool);
  } else {
    run_transforming(input, output, pooled, scratch, pool);
  }
}

// Each thread takes a block of tiles through all three steps, in its own cache.
void WinogradConvolution::run_transformed(const Input& input, const Output& output, const Output& pooled,
                                          float* scratch, ThreadPool& pool) const {
  const std::size_t tiles = tiles_in(input.height, input.width), block = tiles_at_once(tiles, pool.size());
  const std::size_t in_stride = input_stride(block), out_stride = output_stride(block);
  pool.run((tiles + block - 1) / block, [&](std::size_t index, std::size_t thread) {
    float* v = scratch + thread * kPositions * (in_stride + out_stride);
    float* m = v + kPositions * in_stride;
    const kernels::Tiles range = block_of(tiles, block, index);
    kernels::winograd_input(input, range, {v, in_stride});
    for (std::size_t p = 0; p < kPositions; ++p) {
      kernels::multiply(v + p * in_stride, in_, range.count, weights_.get() + p * out_ * in_, out_ / kPanel, in_, {},
                        m + p * out_stride, out_);
    }
    kernels::winograd_output({m, out_stride}, range, bias_.get(), output, pooled);
  });
}

// All threads take a large block of tiles through one step after the other; each transforms its own filters.
void WinogradConvolution::run_transforming(const Input& input, const Output& output, const Output& pooled,
                                           float* scratch, ThreadPool& pool) const {
  const std::size_t tiles = tiles_in(input.height, input.width), block = tiles_at_once(tiles, pool.size());
  const std::size_t in_stride = input_stride(block), out_stride = output_stride(block);
  float* v = scratch;
  float* m = v + kPositions * in_stride;
  float* filters = m + kPositions * out_stride;
  for (std::size_t first = 0; first < tiles; first += block) {
    const std::size_t count = std::min(block, tiles - first);
    pool.run(count, [&](std::size_t t, std::size_t) {
      kernels::winograd_input(input, {first + t, 1}, {v + t * in_, in_stride});
    });
    const std::size_t groups = (out_ / kPanel + kPanelsAtOnce - 1) / kPanelsAtOnce;
    pool.run(groups, [&](std::size_t group, std::size_t thread) {
      multiply_panels(group * kPanelsAtOnce, v, m, count, block, filters + thread * kFilterFloats);
    });
    pool.run(count, [&](std::size_t t, std::size_t) {
      kernels::winograd_output({m + t * out_, out_stride}, {first + t, 1}, bias_.get(), output, pooled);
    });
  }
}

// Up to kPanelsAtOnce panels of the product at every position, a part of the depth after the other.
void WinogradConvolution::multiply_panels(std::size_t first_panel, const float* v, float* m, std::size_t tiles,
                                          std::size_t block, float* filters) const {
  const std::size_t panels = std::min(kPanelsAtOnce, out_ / kPanel - first_panel);
  for (std::size_t k = 0; k < in_; k += kDepthAtOnce) {
    const std::size_t depth = std::min(kDepthAtOnce, in_ - k), stride = stride_of(panels * depth * kPanel);
    for (std::size_t panel = 0; panel < panels; ++panel) {
      kernels::winograd_filters(weights_.get() + ((first_panel + panel) * in_ + k) * 9 * kPanel, depth, stride,
                                filters + panel * depth * kPanel);
    }
    for (std::size_t p = 0; p < kPositions; ++p) {
      kernels::multiply(v + p * input_stride(block) + k, in_, tiles, filters + p * stride, panels, depth,
                        {nullptr, k > 0}, m + p * output_stride(block) + first_panel * kPanel, out_);
    }
  }
}

}  // namespace cmunet::engine
