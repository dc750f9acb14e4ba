// SPDX-License-Identifier: Apache-2.0
#include "cmunet/kernels/up_convolution.h"

#include <algorithm>
#include <vector>

#include "cmunet/kernels/batch_norm.h"
#include "cmunet/kernels/multiply.h"

namespace cmunet::kernels {
namespace {

// Small pixels that a task takes at least: so often are its weights used when they have come.
constexpr std::size_t kPixelsAtOnce = 64;
// Pixels so far apart lie in the same lines of the first-level cache, where twelve are multiplied together. They are
// copied, a line further apart, and a task takes more of them.
constexpr std::size_t kFarApart = 1024;
constexpr std::size_t kCopiedPixelsAtOnce = 128;
// Panels that the multiplication takes at once.
constexpr std::size_t kPanelsAtOnce = 2;
// Input channels whose weight gradient one task sums up.
constexpr std::size_t kChannelsAtOnce = 64;

// The pixels (2y + a, 2x + b) of row y, where pixel = 2a + b.
template <typename T>
T* pixels_of_row(const Map<T>& large, std::size_t y, std::size_t pixel) {
  return large.data + ((2 * y + pixel / 2) * large.width + pixel % 2) * large.pixel_stride;
}

}  // namespace

// A task takes some rows, and all panels or, where rows are few, some.
struct UpConvolution::Split {
  std::size_t rows_at_once, row_groups, panels_at_once, panel_groups;

  std::size_t tasks() const { return row_groups * panel_groups; }
  std::size_t first_row(std::size_t task) const { return task / panel_groups * rows_at_once; }
  // Calls `work(panel, count, y)` for every row of a task, kPanelsAtOnce panels after the other.
  template <typename Work>
  void for_each(std::size_t task, std::size_t panels, std::size_t rows, const Work& work) const {
    const std::size_t first = first_row(task), last_row = std::min(rows, first + rows_at_once);
    const std::size_t first_panel = task % panel_groups * panels_at_once;
    const std::size_t last_panel = std::min(panels, first_panel + panels_at_once);
    for (std::size_t panel = first_panel; panel < last_panel; panel += kPanelsAtOnce) {
      for (std::size_t y = first; y < last_row; ++y) work(panel, std::min(kPanelsAtOnce, last_panel - panel), y);
    }
  }
};

UpConvolution::UpConvolution(const float* weights, std::size_t in, std::size_t out, Direction direction)
    : from_(padded_channels(direction == Direction::kForward ? in : out)),
      to_(padded_channels(direction == Direction::kForward ? out : in)),
      weights_(allocate_floats(4 * from_ * to_)) {
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

UpConvolution::Split UpConvolution::split(std::size_t rows, std::size_t width, std::size_t threads) const {
  const std::size_t pixels_at_once = from_ >= kFarApart ? kCopiedPixelsAtOnce : kPixelsAtOnce;
  const std::size_t panels = to_ / kPanel, rows_at_once = std::max<std::size_t>(1, pixels_at_once / width);
  const std::size_t row_groups = (rows + rows_at_once - 1) / rows_at_once;
  // Enough tasks that no thread waits long for the last one.
  std::size_t panels_at_once = panels;
  while (panels_at_once > kPanelsAtOnce && row_groups * (panels / panels_at_once) < 4 * threads) panels_at_once /= 2;
  return {rows_at_once, row_groups, panels_at_once, (panels + panels_at_once - 1) / panels_at_once};
}

void UpConvolution::run(const Map<const float>& small, const float* bias, const Map<float>& large,
                        const Workers& workers) const {
  const std::size_t rows = small.images * small.height;
  const Split parts = split(rows, small.width, workers.threads);
  const bool copies = from_ >= kFarApart;
  const std::size_t stride = copies ? from_ + kPanel : small.pixel_stride;
  const std::size_t copy_floats = copies ? parts.rows_at_once * small.width * stride : 0;
  const Floats copied = copies ? allocate_floats(workers.threads * copy_floats) : Floats();
  workers.run(parts.tasks(), [&](std::size_t task, std::size_t thread) {
    const std::size_t first_row = parts.first_row(task);
    const float* input = small.data + first_row * small.width * small.pixel_stride;
    if (copies) {
      float* const copy = copied.get() + thread * copy_floats;
      const std::size_t pixels = std::min(parts.rows_at_once, rows - first_row) * small.width;
      for (std::size_t p = 0; p < pixels; ++p) std::copy_n(input + p * small.pixel_stride, from_, copy + p * stride);
      input = copy;
    }
    for (std::size_t pixel = 0; pixel < 4; ++pixel) {
      parts.for_each(task, to_ / kPanel, rows, [&](std::size_t panel, std::size_t count, std::size_t y) {
        multiply(input + (y - first_row) * small.width * stride, stride, small.width, panels_of(pixel, panel), count,
                 from_, {bias + panel * kPanel}, pixels_of_row(large, y, pixel) + panel * kPanel,
                 2 * large.pixel_stride);
      });
    }
  });
}

void UpConvolution::run_input_gradient(const Map<const float>& large, const Map<float>& small,
                                       const Workers& workers) const {
  const std::size_t rows = small.images * small.height;
  const Split parts = split(rows, small.width, workers.threads);
  workers.run(parts.tasks(), [&](std::size_t task, std::size_t) {
    parts.for_each(task, to_ / kPanel, rows, [&](std::size_t panel, std::size_t count, std::size_t y) {
      for (std::size_t pixel = 0; pixel < 4; ++pixel) {
        multiply(pixels_of_row(large, y, pixel), 2 * large.pixel_stride, small.width, panels_of(pixel, panel), count,
                 from_, {nullptr, pixel > 0}, small.data + y * small.width * small.pixel_stride + panel * kPanel,
                 small.pixel_stride);
      }
    });
  });
}

void up_convolution_weight_gradient(const Map<const float>& small, const Map<const float>& large, float* weights,
                                    float* bias, const Workers& workers) {
  const std::size_t in = small.channels, out = large.channels, rows = small.images * small.height;
  const std::size_t groups = (in + kChannelsAtOnce - 1) / kChannelsAtOnce;
  const Floats of_threads = allocate_floats(workers.threads * kChannelsAtOnce * out);
  workers.run(4 * groups, [&](std::size_t task, std::size_t thread) {
    const std::size_t pixel = task % 4, first = task / 4 * kChannelsAtOnce,
                      count = std::min(kChannelsAtOnce, in - first);
    float* sums = of_threads.get() + thread * kChannelsAtOnce * out;
    for (std::size_t y = 0; y < rows; ++y) {
      multiply_transposed({small.data + y * small.width * small.pixel_stride + first, small.pixel_stride},
                          {pixels_of_row(large, y, pixel), 2 * large.pixel_stride}, small.width, count, out, y > 0,
                          sums, out);
    }
    for (std::size_t k = 0; k < count * out; ++k) weights[(first * out + k) * 4 + pixel] = sums[k];
  });
  // Sixteen parts at most, joined in order.
  const std::size_t large_rows = large.images * large.height, parts = std::min<std::size_t>(16, large_rows);
  const Floats sums = allocate_floats(parts * out);
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
