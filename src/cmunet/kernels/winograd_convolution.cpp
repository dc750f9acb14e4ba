// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/winograd_convolution.h"

#include <hwy/cache_control.h>

#include <algorithm>

#include "cmunet/kernels/multiply.h"

namespace cmunet::kernels {
namespace {

// Measured on AVX-512 cores with 1 MB of second-level cache each and 32 MB of third.
// What a thread's transformed tiles may take of its second-level cache,
constexpr std::size_t kTileBytes = 384 << 10;
// what transformed filters may take that every thread reads for every block of tiles,
constexpr std::size_t kFilterBytes = 10 << 20;
// and how large they may be for tiles of 6×6: beyond, streaming them costs what fewer products save.
constexpr std::size_t kLargeTileFilterBytes = 2 << 20;
// A multiple of the rows that the multiplication takes at once.
constexpr std::size_t kTileStep = 12;
// Filters that are transformed on the way: 18 · 256 · 32 floats stay in the second-level cache while they are used.
// Half of the positions at a time: the deeper a product is, the less often its sums are read and written again.
constexpr std::size_t kDepthAtOnce = 256;
constexpr std::size_t kPanelsAtOnce = 2;
constexpr std::size_t kHalfPositions = kPositions / 2;
constexpr std::size_t kFilterFloats = kHalfPositions * (kPanelsAtOnce * kDepthAtOnce + 1) * kPanel;

Tiles block_of(std::size_t tiles, std::size_t side, std::size_t at_once, std::size_t block) {
  const std::size_t first = block * at_once;
  return {first, std::min(at_once, tiles - first), side};
}

std::size_t blocks_of(std::size_t tiles, std::size_t at_once) { return (tiles + at_once - 1) / at_once; }

std::size_t pixels_of(const Map<float>& map, Tiles tiles) {
  std::size_t pixels = 0;
  for (std::size_t t = tiles.first; t < tiles.first + tiles.count; ++t) {
    const TilePlace place = place_of(map, t, tiles.side);
    pixels += std::min(tiles.side, map.height - place.y) * std::min(tiles.side, map.width - place.x);
  }
  return pixels;
}

// A kPositions-th part of `lines` cache lines.
void prefetch_part(const float* data, std::size_t lines, std::size_t part) {
  for (std::size_t line = part * lines / kPositions; line < (part + 1) * lines / kPositions; ++line) {
    hwy::Prefetch(data + line * kPanel);
  }
}

// One panel's filters as [in][9][kPanel], zero where there is no channel.
void pack_panel(const Filters& filters, const std::vector<std::size_t>& positions, std::size_t panel, float* target) {
  const std::size_t out = filters.backward ? filters.in : filters.out;
  std::fill_n(target, positions.size() * 9 * kPanel, 0.0F);
  for (std::size_t lane = 0; lane < std::min(kPanel, out - panel * kPanel); ++lane) {
    const std::size_t o = panel * kPanel + lane;
    for (std::size_t i = 0; i < positions.size(); ++i) {
      if (positions[i] == kNoChannel) continue;
      const float* source =
          filters.weights + (filters.backward ? positions[i] * filters.in + o : o * filters.in + positions[i]) * 9;
      float* taps = target + i * 9 * kPanel + lane;
      for (std::size_t tap = 0; tap < 9; ++tap) taps[tap * kPanel] = source[filters.backward ? 8 - tap : tap];
    }
  }
}

}  // namespace

struct WinogradConvolution::Job {
  std::span<const ConvolutionInput> inputs;
  std::span<const Map<float>> outputs;
  const Epilogue& epilogue;
  MomentBlocks* moments;
  std::size_t tiles;
};

std::vector<std::size_t> channel_positions(std::size_t parts, std::size_t channels_per_part) {
  std::vector<std::size_t> positions;
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t c = 0; c < padded_channels(channels_per_part); ++c) {
      positions.push_back(c < channels_per_part ? part * channels_per_part + c : kNoChannel);
    }
  }
  return positions;
}

WinogradConvolution::WinogradConvolution(const Filters& filters, const std::vector<std::size_t>& positions, Use use,
                                         const Workers& workers)
    : in_(positions.size()), out_(padded_channels(filters.backward ? filters.in : filters.out)) {
  const auto fits = [&](std::size_t side, std::size_t bytes) {
    return !use.few_tiles && positions_of(side) * in_ * out_ * sizeof(float) <= bytes;
  };
  if (use.large_tiles && fits(kLargeTile, kLargeTileFilterBytes)) side_ = kLargeTile;
  transformed_ = fits(side_, kFilterBytes);
  const std::size_t filter_floats = in_ * 9 * kPanel;  // of one panel
  Floats packed = allocate_floats(out_ * in_ * 9);
  if (transformed_) weights_ = allocate_floats(products() * in_ * out_);
  workers.run(out_ / kPanel, [&](std::size_t panel, std::size_t) {
    float* target = packed.get() + panel * filter_floats;
    pack_panel(filters, positions, panel, target);
    if (transformed_) winograd_filters(target, in_, side_, in_ * out_, weights_.get() + panel * in_ * kPanel);
  });
  if (!transformed_) weights_ = std::move(packed);
}

std::size_t WinogradConvolution::tiles_at_once(std::size_t tiles, std::size_t threads) const {
  const std::size_t bytes_per_tile = products() * (in_ + out_) * sizeof(float);
  const std::size_t budget = transformed_ ? kTileBytes : kSharedBytes;
  std::size_t at_once = std::max(budget / bytes_per_tile / kTileStep, std::size_t{1}) * kTileStep;
  // Enough blocks that no thread waits long for the last one.
  if (transformed_) at_once = std::min(at_once, std::max(kTileStep, tiles / (4 * threads) / kTileStep * kTileStep));
  return std::min(at_once, tiles);
}

std::size_t WinogradConvolution::input_stride(std::size_t tiles) const { return odd_stride(tiles * in_); }
std::size_t WinogradConvolution::output_stride(std::size_t tiles) const { return odd_stride(tiles * out_); }

std::size_t WinogradConvolution::scratch_floats(const Map<const float>& map, std::size_t threads) const {
  const std::size_t block = tiles_at_once(map.tiles(side_), threads);
  const std::size_t floats = products() * (input_stride(block) + output_stride(block));
  return transformed_ ? floats * threads : floats + threads * kFilterFloats;
}

void WinogradConvolution::read_inputs(const Job& job, Tiles tiles, Transformed<float> v) const {
  for (const ConvolutionInput& input : job.inputs) {
    winograd_input(input.map, input.rectifier, tiles, v);
    v.data += input.map.channels;
  }
}

void WinogradConvolution::write_outputs(const Job& job, Tiles tiles, std::size_t block,
                                        Transformed<const float> m) const {
  Epilogue epilogue = job.epilogue;
  if (job.moments != nullptr) epilogue.moments = job.moments->block(block, pixels_of(job.outputs.front(), tiles));
  for (const Map<float>& output : job.outputs) {
    winograd_output(m, tiles, epilogue, output);
    m.data += output.channels;
  }
}

void WinogradConvolution::run(std::span<const ConvolutionInput> inputs, std::span<const Map<float>> outputs,
                              const Epilogue& epilogue, std::optional<MomentBlocks>* moments, float* scratch,
                              const Workers& workers) const {
  const std::size_t tiles = outputs.front().tiles(side_);
  const std::size_t block = transformed_ ? tiles_at_once(tiles, workers.threads) : kTilesPerTask;
  if (moments != nullptr) moments->emplace(blocks_of(tiles, block), out_);
  const Job job{inputs, outputs, epilogue, moments != nullptr ? &**moments : nullptr, tiles};
  if (transformed_) {
    run_transformed(job, scratch, workers);
  } else {
    run_transforming(job, scratch, workers);
  }
}

// Each thread takes a block of tiles through all three steps, in its own cache.
void WinogradConvolution::run_transformed(const Job& job, float* scratch, const Workers& workers) const {
  const std::size_t tiles = job.tiles, block = tiles_at_once(tiles, workers.threads);
  const std::size_t in_stride = input_stride(block), out_stride = output_stride(block);
  workers.run(blocks_of(tiles, block), [&](std::size_t index, std::size_t thread) {
    float* v = scratch + thread * products() * (in_stride + out_stride);
    float* m = v + products() * in_stride;
    const Tiles range = block_of(tiles, side_, block, index);
    read_inputs(job, range, {v, in_stride, in_});
    for (std::size_t p = 0; p < products(); ++p) {
      multiply(v + p * in_stride, in_, range.count, weights_.get() + p * out_ * in_, out_ / kPanel, in_, {},
               m + p * out_stride, out_);
    }
    write_outputs(job, range, index, {m, out_stride, out_});
  });
}

// All threads take a large block of 4×4 tiles through one step after the other; each transforms its own filters.
void WinogradConvolution::run_transforming(const Job& job, float* scratch, const Workers& workers) const {
  // A whole number of tasks, so that every task has moments of its own.
  const std::size_t tiles = job.tiles, block = tiles_at_once(tiles, workers.threads);
  const std::size_t in_stride = input_stride(block), out_stride = output_stride(block);
  float* v = scratch;
  float* m = v + kPositions * in_stride;
  float* filters = m + kPositions * out_stride;
  static_assert(kTileStep % kTilesPerTask == 0, "blocks must begin with a task of their own");
  for (std::size_t first = 0; first < tiles; first += block) {
    const std::size_t count = std::min(block, tiles - first);
    const auto tiles_of_task = [&](std::size_t task) {
      const Tiles range = block_of(count, kTile, kTilesPerTask, task);
      return Tiles{first + range.first, range.count};
    };
    workers.run(blocks_of(count, kTilesPerTask), [&](std::size_t task, std::size_t) {
      read_inputs(job, tiles_of_task(task), {v + task * kTilesPerTask * in_, in_stride, in_});
    });
    const std::size_t groups = (out_ / kPanel + kPanelsAtOnce - 1) / kPanelsAtOnce;
    workers.run(groups, [&](std::size_t group, std::size_t thread) {
      multiply_panels(group * kPanelsAtOnce, v, m, count, block, filters + thread * kFilterFloats);
    });
    workers.run(blocks_of(count, kTilesPerTask), [&](std::size_t task, std::size_t) {
      write_outputs(job, tiles_of_task(task), first / kTilesPerTask + task,
                    {m + task * kTilesPerTask * out_, out_stride, out_});
    });
  }
}

// Up to kPanelsAtOnce panels of the product at every position, a part of the depth after the other.
void WinogradConvolution::multiply_panels(std::size_t first_panel, const float* v, float* m, std::size_t tiles,
                                          std::size_t block, float* filters) const {
  const std::size_t panels = std::min(kPanelsAtOnce, out_ / kPanel - first_panel);
  const auto filters_at = [&](std::size_t panel, std::size_t k) {
    return weights_.get() + ((first_panel + panel) * in_ + k) * 9 * kPanel;
  };
  for (std::size_t k = 0; k < in_; k += kDepthAtOnce) {
    const std::size_t depth = std::min(kDepthAtOnce, in_ - k), stride = odd_stride(panels * depth * kPanel);
    const std::size_t next = k + depth, lines = (std::min(in_, next + kDepthAtOnce) - next) * 9;
    for (std::size_t p = 0; p < kPositions; ++p) {
      const std::size_t half = p / kHalfPositions, in_half = p % kHalfPositions;
      for (std::size_t panel = 0; panel < panels && in_half == 0; ++panel) {
        winograd_half_filters(filters_at(panel, k), depth, half, stride, filters + panel * depth * kPanel);
      }
      // Meanwhile the next filters come from memory.
      for (std::size_t panel = 0; panel < panels; ++panel) prefetch_part(filters_at(panel, next), lines, p);
      multiply(v + p * input_stride(block) + k, in_, tiles, filters + in_half * stride, panels, depth, {nullptr, k > 0},
               m + p * output_stride(block) + first_panel * kPanel, out_);
    }
  }
}

}  // namespace cmunet::kernels
