// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/weight_gradient.h"

#include <algorithm>

#include "cmunet/kernels/multiply.h"
#include "cmunet/kernels/winograd.h"

namespace cmunet::kernels {
namespace {

// Measured on AVX-512 cores with 1 MB of second-level cache each and 32 MB of third.
// Up to this product of channel counts a slice's sums stay in the second-level cache beside a block of tiles,
constexpr std::size_t kSliceChannels = 64 * 32;
constexpr std::size_t kSlicesPerThread = 4;
// which may take this much of it.
constexpr std::size_t kTileBytes = 384 << 10;

}  // namespace

WeightGradient::WeightGradient(std::size_t in, std::size_t out, std::size_t tiles, std::size_t threads)
    : in_(in), out_(out), tiles_(tiles), threads_(threads) {
  const bool sliced = in * out <= kSliceChannels;
  if (sliced) slices_ = std::min(kSlicesPerThread * threads, tiles);
  const std::size_t budget = (sliced ? kTileBytes : kSharedBytes) / (kPositions * (in + out) * sizeof(float));
  block_ = std::min(std::max<std::size_t>(budget, 16), tiles);
  in_stride_ = odd_stride(block_ * in);
  out_stride_ = odd_stride(block_ * out);
}

std::size_t WeightGradient::scratch_floats() const {
  const std::size_t blocks = slices_ > 1 ? threads_ : 1;
  return products_floats() + blocks * kPositions * (in_stride_ + out_stride_);
}

void WeightGradient::run(Inputs inputs, const Map<const float>& gradient, float* result, float* scratch,
                         const Workers& workers) const {
  if (slices_ > 1) {
    run_slices(inputs, gradient, scratch, workers);
  } else {
    run_positions(inputs, gradient, scratch, workers);
  }
  finish(scratch, result, workers);
}

void WeightGradient::transform(Inputs inputs, const Map<const float>& gradient, Tiles tiles, float* v, float* q) const {
  for (const ConvolutionInput& input : inputs) {
    winograd_input(input.map, input.rectifier, tiles, {v, in_stride_, in_});
    v += input.map.channels;
  }
  winograd_output_adjoint(gradient, tiles, {q, out_stride_, out_});
}

// Each slice of the tiles has sums of its own, which stay in a thread's cache.
void WeightGradient::run_slices(Inputs inputs, const Map<const float>& gradient, float* scratch,
                                const Workers& workers) const {
  workers.run(slices_, [&](std::size_t slice, std::size_t thread) {
    float* products = scratch + slice * kPositions * in_ * out_;
    float* v = scratch + products_floats() + thread * kPositions * (in_stride_ + out_stride_);
    float* q = v + kPositions * in_stride_;
    const std::size_t begin = slice * tiles_ / slices_, end = (slice + 1) * tiles_ / slices_;
    for (std::size_t first = begin; first < end; first += block_) {
      const std::size_t count = std::min(block_, end - first);
      transform(inputs, gradient, {first, count}, v, q);
      for (std::size_t p = 0; p < kPositions; ++p) {
        multiply_transposed({v + p * in_stride_, in_}, {q + p * out_stride_, out_}, count, in_, out_, first > begin,
                            products + p * in_ * out_, out_);
      }
    }
  });
}

// All threads transform a large block of tiles, then each takes whole positions, whose sums no other touches.
void WeightGradient::run_positions(Inputs inputs, const Map<const float>& gradient, float* scratch,
                                   const Workers& workers) const {
  float* v = scratch + products_floats();
  float* q = v + kPositions * in_stride_;
  for (std::size_t first = 0; first < tiles_; first += block_) {
    const std::size_t count = std::min(block_, tiles_ - first);
    workers.run((count + kTilesPerTask - 1) / kTilesPerTask, [&](std::size_t task, std::size_t) {
      const std::size_t from = task * kTilesPerTask;
      transform(inputs, gradient, {first + from, std::min(kTilesPerTask, count - from)}, v + from * in_,
                q + from * out_);
    });
    workers.run(kPositions, [&](std::size_t p, std::size_t) {
      multiply_transposed({v + p * in_stride_, in_}, {q + p * out_stride_, out_}, count, in_, out_, first > 0,
                          scratch + p * in_ * out_, out_);
    });
  }
}

// Back from the transformed domain: a kPanel × kPanel square of filters after the other, slices summed in order.
void WeightGradient::finish(const float* products, float* result, const Workers& workers) const {
  const std::size_t size = kPositions * in_ * out_, across = out_ / kPanel;
  workers.run(in_ / kPanel * across, [&](std::size_t square, std::size_t) {
    const std::size_t i0 = square / across * kPanel, o0 = square % across * kPanel;
    alignas(64) float sums[kPositions * kPanel * kPanel];
    alignas(64) float taps[kPanel * 9 * kPanel];
    const float* in = products + i0 * out_ + o0;
    std::size_t position_stride = in_ * out_, filter_stride = out_;
    if (slices_ > 1) {
      for (std::size_t row = 0; row < kPositions * kPanel; ++row) {
        const float* from = in + row / kPanel * position_stride + row % kPanel * filter_stride;
        float* to = sums + row * kPanel;
        std::copy_n(from, kPanel, to);
        for (std::size_t slice = 1; slice < slices_; ++slice) {
          for (std::size_t lane = 0; lane < kPanel; ++lane) to[lane] += from[slice * size + lane];
        }
      }
      in = sums;
      position_stride = kPanel * kPanel;
      filter_stride = kPanel;
    }
    winograd_filters_adjoint(in, position_stride, filter_stride, kPanel, taps);
    for (std::size_t lane = 0; lane < kPanel; ++lane) {
      float* target = result + ((o0 + lane) * in_ + i0) * 9;
      for (std::size_t k = 0; k < kPanel * 9; ++k) target[k] = taps[k * kPanel + lane];
    }
  });
}

}  // namespace cmunet::kernels
