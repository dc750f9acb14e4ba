// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/up_convolution.h"

#include <algorithm>
#include <vector>

#include "cmunet/kernels/batch_norm.h"
#include "cmunet/kernels/multiply.h"

namespace cmunet::kernels {
namespace {

// What a task's weights may take of the second-level cache.
constexpr std::size_t kWeightBytes = 256 << 10;
// Input channels whose weight gradient one task sums up.
constexpr std::size_t kChannelsAtOnce = 64;

// The pixels (2y + a, 2x + b) of row y, where pixel = 2a + b.
template <typename T>
T* pixels_of_row(const Map<T>& large, std::size_t y, std::size_t pixel) {
  return large.data + ((2 * y + pixel / 2) * large.width + pixel % 2) * large.pixel_stride;
}

}  // namespace

// All weights and some rows, or few weights and every row: a task keeps its weights in the second-level cache.
struct UpConvolution::Split {
  std::size_t panels_at_once, panel_groups, rows_at_once, row_groups;
};

UpConvolution::UpConvolution(const float* weights, std::size_t in, std::size_t out, Direction direction)
    : from_(padded_channels(direction == Direction::kForward ? in : out)),
      to_(padded_channels(direction == Direction::kForward ? out : in)),
      weights_(hwy::AllocateAligned<float>(4 * from_ * to_)) {
  std::fill_n(weights_.get(), 4 * from_ * to_, 0.0F);
  for (std::size_t i = 0; i < in; ++i) {
    for (std::size_t o = 0; o < out; ++o) {
      const std::size_t from = direction == Direction::kForward ? i : o, to = direction == Direction::kForward ? o : i;
      for (std::size_t pixel = 0; pixel < 4; ++pixel) {
        const std::size_t panel = pixel * (to_ / kPanel) + to / kPanel;
        weights_[(panel * from_ + from) * kPanel + to % kPanel] = weights[(i * out + o) * 4 + pixel];
      }
    }
  }
}

const float* UpConvolution::panels_of(std::size_t pixel, std::size_t panel) const {
  return weights_.get() + (pixel * (to_ / kPanel) + panel) * from_ * kPanel;
}

UpConvolution::Split UpConvolution::split(std::size_t rows, std::size_t products) const {
  const std::size_t panels = to_ / kPanel;
  const bool few_weights = products * to_ * from_ * sizeof(float) <= kWeightBytes;
  const std::size_t panels_at_once = few_weights ? panels : std::min<std::size_t>(2, panels);
  const std::size_t rows_at_once = few_weights ? 4 : rows;
  return {panels_at_once, (panels + panels_at_once - 1) / panels_at_once, rows_at_once,
          (rows + rows_at_once - 1) / rows_at_once};
}

void UpConvolution::run(const Map<const float>& small, const float* bias, const Map<float>& large,
                        const Workers& workers) const {
  const std::size_t rows = small.images * small.height;
  const Split parts = split(rows, 4);
  workers.run(parts.row_groups * 4 * parts.panel_groups, [&](std::size_t task, std::size_t) {
    const std::size_t group = task / (4 * parts.panel_groups), pixel = task / parts.panel_groups % 4;
    const std::size_t panel = task % parts.panel_groups * parts.panels_at_once;
    const std::size_t count = std::min(parts.panels_at_once, to_ / kPanel - panel);
    for (std::size_t y = group * parts.rows_at_once; y < std::min(rows, (group + 1) * parts.rows_at_once); ++y) {
      multiply(small.data + y * small.width * small.pixel_stride, small.pixel_stride, small.width,
               panels_of(pixel, panel), count, from_, {bias + panel * kPanel},
               pixels_of_row(large, y, pixel) + panel * kPanel, 2 * large.pixel_stride);
    }
  });
}

void UpConvolution::run_input_gradient(const Map<const float>& large, const Map<float>& small,
                                       const Workers& workers) const {
  const std::size_t rows = small.images * small.height;
  const Split parts = split(rows, 4);
  workers.run(parts.row_groups * parts.panel_groups, [&](std::size_t task, std::size_t) {
    const std::size_t group = task / parts.panel_groups, panel = task % parts.panel_groups * parts.panels_at_once;
    const std::size_t count = std::min(parts.panels_at_once, to_ / kPanel - panel);
    for (std::size_t y = group * parts.rows_at_once; y < std::min(rows, (group + 1) * parts.rows_at_once); ++y) {
      for (std::size_t pixel = 0; pixel < 4; ++pixel) {
        multiply(pixels_of_row(large, y, pixel), 2 * large.pixel_stride, small.width, panels_of(pixel, panel), count,
                 from_, {nullptr, pixel > 0}, small.data + y * small.width * small.pixel_stride + panel * kPanel,
                 small.pixel_stride);
      }
    }
  });
}

void up_convolution_weight_gradient(const Map<const float>& small, const Map<const float>& large, float* weights,
                                    float* bias, const Workers& workers) {
  const std::size_t in = small.channels, out = large.channels, rows = small.images * small.height;
  const std::size_t groups = (in + kChannelsAtOnce - 1) / kChannelsAtOnce;
  workers.run(4 * groups, [&](std::size_t task, std::size_t) {
    const std::size_t pixel = task % 4, first = task / 4 * kChannelsAtOnce,
                      count = std::min(kChannelsAtOnce, in - first);
    const Floats sums = hwy::AllocateAligned<float>(count * out);
    for (std::size_t y = 0; y < rows; ++y) {
      multiply_transposed({small.data + y * small.width * small.pixel_stride + first, small.pixel_stride},
                          {pixels_of_row(large, y, pixel), 2 * large.pixel_stride}, small.width, count, out, y > 0,
                          sums.get(), out);
    }
    for (std::size_t k = 0; k < count * out; ++k) weights[(first * out + k) * 4 + pixel] = sums[k];
  });
  // Sixteen parts at most, joined in order.
  const std::size_t large_rows = large.images * large.height, parts = std::min<std::size_t>(16, large_rows);
  const Floats sums = hwy::AllocateAligned<float>(parts * out);
  workers.run(parts, [&](std::size_t part, std::size_t) {
    sum_pixels(large, {part * large_rows / parts, (part + 1) * large_rows / parts}, sums.get() + part * out);
  });
  for (std::size_t c = 0; c < out; ++c) {
    double sum = 0;
    for (std::size_t part = 0; part < parts; ++part) sum += double{sums[part * out + c]};
    bias[c] = static_cast<float>(sum);
  }
}

}  // namespace cmunet::kernels
