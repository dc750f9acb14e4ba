// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "cmunet/base/random.h"
#include "cmunet/kernels/batch_norm.h"
#include "cmunet/kernels/instruction_set_test.h"
#include "cmunet/kernels/layers.h"
#include "cmunet/kernels/thread_pool.h"
#include "cmunet/kernels/up_convolution.h"
#include "cmunet/kernels/weight_gradient.h"
#include "cmunet/kernels/winograd_convolution.h"

namespace cmunet::kernels {
namespace {

Floats random_floats(std::size_t count, Rng& rng, double scale = 1) {
  Floats floats = hwy::AllocateAligned<float>(count);
  for (std::size_t i = 0; i < count; ++i) floats[i] = static_cast<float>(scale * rng.normal());
  return floats;
}

// Images and their memory. Channels beyond `used` are zero, as callers keep them.
struct Picture {
  Floats memory;
  Map<float> map;
  Picture(std::size_t images, std::size_t height, std::size_t width, std::size_t channels, std::size_t used, Rng& rng)
      : memory(random_floats(images * height * width * channels, rng)), map{memory.get(), height,   width,
                                                                            channels,     channels, images} {
    for (std::size_t p = 0; p < map.pixels(); ++p) {
      for (std::size_t c = used; c < channels; ++c) memory[p * channels + c] = 0;
    }
  }
  double at(std::size_t n, std::size_t y, std::size_t x, std::size_t c) const {
    if (y >= map.height || x >= map.width) return 0;  // also what wrapped below zero
    return double{memory[((n * map.height + y) * map.width + x) * map.pixel_stride + c]};
  }
};

// The definition: calls visit(n, y, x, o, i, tap, y of the input, x of the input).
template <typename Visit>
void for_each_product(const Map<float>& output, std::size_t out, std::size_t in, const Visit& visit) {
  for (std::size_t n = 0; n < output.images; ++n) {
    for (std::size_t y = 0; y < output.height; ++y) {
      for (std::size_t x = 0; x < output.width; ++x) {
        for (std::size_t o = 0; o < out; ++o) {
          for (std::size_t i = 0; i < in; ++i) {
            for (std::size_t tap = 0; tap < 9; ++tap) visit(n, y, x, o, i, tap, y + tap / 3 - 1, x + tap % 3 - 1);
          }
        }
      }
    }
  }
}

double largest(const std::vector<double>& values) {
  double best = 0;
  for (const double v : values) {
    if (!(std::abs(v) <= best)) best = std::abs(v);  // once NaN, always NaN
  }
  return best;
}

// Largest difference over the largest value.
double relative_error(const std::vector<double>& expected, const std::vector<double>& actual) {
  std::vector<double> difference(expected.size());
  for (std::size_t k = 0; k < expected.size(); ++k) difference[k] = actual[k] - expected[k];
  return largest(difference) / std::max(largest(expected), 1e-30);
}

constexpr Use kUses[] = {{false, false}, {true, false}, {false, true}, {true, true}};

struct Shape {
  std::size_t in, out, images, height, width;
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.in << " -> " << s.out << " channels, " << s.images << " images of " << s.height << "x" << s.width;
}

class Convolution3x3 : public testing::TestWithParam<Shape> {
 protected:
  Convolution3x3()
      : rng(GetParam().in * 131 + GetParam().out),
        x(GetParam().images, GetParam().height, GetParam().width, padded_channels(GetParam().in), GetParam().in, rng),
        y(GetParam().images, GetParam().height, GetParam().width, padded_channels(GetParam().out), GetParam().out, rng),
        weights(random_floats(GetParam().in * GetParam().out * 9, rng,
                              1 / std::sqrt(9.0 * static_cast<double>(GetParam().in)))) {}

  // Winograd's result of `source` into a map shaped like `target`, unpadded.
  std::vector<double> run(const Picture& source, const Picture& target, bool backward, Use use,
                          std::optional<MomentBlocks>* moments) {
    const auto [in, out, images, height, width] = GetParam();
    ThreadPool pool(2);
    const Workers workers = pool.workers();
    const WinogradConvolution convolution({weights.get(), out, in, backward}, channel_positions(1, backward ? out : in),
                                          use, workers);
    const Floats scratch =
        hwy::AllocateAligned<float>(convolution.scratch_floats(readable(source.map), workers.threads));
    const Floats memory = hwy::AllocateAligned<float>(target.map.pixels() * target.map.channels);
    Map<float> result = target.map;
    result.data = memory.get();
    const ConvolutionInput input{readable(source.map), {}};
    convolution.run({&input, 1}, {&result, 1}, {}, moments, scratch.get(), workers);
    const std::size_t used = backward ? in : out;
    std::vector<double> values;
    for (std::size_t p = 0; p < result.pixels(); ++p) {
      for (std::size_t c = 0; c < used; ++c) values.push_back(double{memory[p * result.channels + c]});
    }
    return values;
  }

  Rng rng;
  Picture x, y;  // y: the gradient of the output
  Floats weights;
};

TEST_P(Convolution3x3, ForwardAndItsMomentsEqualTheDefinition) {
  const auto [in, out, images, height, width] = GetParam();
  std::vector<double> expected(x.map.pixels() * out, 0.0);
  for_each_product(y.map, out, in, [&](auto n, auto py, auto px, auto o, auto i, auto tap, auto sy, auto sx) {
    expected[((n * height + py) * width + px) * out + o] +=
        x.at(n, sy, sx, i) * double{weights[(o * in + i) * 9 + tap]};
  });
  for (const Use use : kUses) {
    std::optional<MomentBlocks> moments;
    EXPECT_LT(relative_error(expected, run(x, y, false, use, &moments)), 1e-4);
    const auto statistics = moments->statistics();
    ASSERT_EQ(statistics.pixels, x.map.pixels());
    for (std::size_t o = 0; o < out; ++o) {
      double mean = 0, variance = 0;
      const auto n = static_cast<double>(x.map.pixels());
      for (std::size_t p = 0; p < x.map.pixels(); ++p) mean += expected[p * out + o] / n;
      for (std::size_t p = 0; p < x.map.pixels(); ++p) variance += std::pow(expected[p * out + o] - mean, 2) / n;
      ASSERT_NEAR(statistics.mean[o], mean, 2e-5) << o;
      ASSERT_NEAR(statistics.variance[o], variance, 1e-4 * variance + 1e-6) << o;
    }
  }
}

TEST_P(Convolution3x3, InputGradientEqualsTheDefinition) {
  const auto [in, out, images, height, width] = GetParam();
  std::vector<double> expected(x.map.pixels() * in, 0.0);
  for_each_product(y.map, out, in, [&](auto n, auto py, auto px, auto o, auto i, auto tap, auto sy, auto sx) {
    if (sy >= height || sx >= width) return;
    expected[((n * height + sy) * width + sx) * in + i] += y.at(n, py, px, o) * double{weights[(o * in + i) * 9 + tap]};
  });
  for (const Use use : kUses) {
    EXPECT_LT(relative_error(expected, run(y, x, true, use, nullptr)), 1e-4);
  }
}

TEST_P(Convolution3x3, WeightGradientEqualsTheDefinitionAndItself) {
  const auto [in, out, images, height, width] = GetParam();
  const std::size_t in_memory = x.map.channels, out_memory = y.map.channels;
  std::vector<double> expected(out_memory * in_memory * 9, 0.0);
  for_each_product(y.map, out, in, [&](auto n, auto py, auto px, auto o, auto i, auto tap, auto sy, auto sx) {
    expected[(o * in_memory + i) * 9 + tap] += y.at(n, py, px, o) * x.at(n, sy, sx, i);
  });
  ThreadPool pool(2);
  const Workers workers = pool.workers();
  const WeightGradient gradient(in_memory, out_memory, x.map.tiles(), workers.threads);
  const Floats scratch = hwy::AllocateAligned<float>(gradient.scratch_floats());
  std::vector<float> first(expected.size()), second(expected.size());
  const ConvolutionInput input{readable(x.map), {}};
  gradient.run({&input, 1}, readable(y.map), first.data(), scratch.get(), workers);
  gradient.run({&input, 1}, readable(y.map), second.data(), scratch.get(), workers);
  EXPECT_EQ(first, second);
  EXPECT_LT(relative_error(expected, std::vector<double>(first.begin(), first.end())), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Convolution3x3,
                         testing::Values(Shape{1, 1, 1, 1, 1}, Shape{1, 3, 2, 1, 9}, Shape{3, 2, 1, 2, 2},
                                         Shape{5, 8, 3, 3, 5}, Shape{15, 16, 1, 4, 4}, Shape{16, 17, 2, 5, 4},
                                         Shape{17, 16, 2, 6, 7}, Shape{16, 16, 2, 40, 33}, Shape{31, 33, 1, 13, 30},
                                         Shape{32, 32, 2, 8, 8}, Shape{64, 64, 1, 9, 11}, Shape{64, 48, 2, 12, 20},
                                         Shape{130, 65, 1, 9, 11}, Shape{7, 300, 1, 8, 4}, Shape{300, 7, 1, 4, 9},
                                         Shape{256, 256, 2, 3, 5}, Shape{700, 20, 1, 30, 25}, Shape{16, 512, 1, 4, 4},
                                         Shape{1024, 512, 1, 6, 6}, Shape{512, 1024, 1, 4, 4}));

TEST(WinogradConvolution, ReadsTwoMapsAsOneAndWritesTwo) {
  Rng rng(1);
  const std::size_t height = 9, width = 14;
  const Picture left(2, height, width, 16, 16, rng), right(2, height, width, 32, 32, rng);
  Picture both(2, height, width, 48, 48, rng), out(2, height, width, 48, 48, rng);
  for (std::size_t p = 0; p < both.map.pixels(); ++p) {
    for (std::size_t c = 0; c < 48; ++c) {
      both.memory[p * 48 + c] = c < 16 ? left.memory[p * 16 + c] : right.memory[p * 32 + c - 16];
    }
  }
  const Floats weights = random_floats(48 * 48 * 9, rng);
  ThreadPool pool(2);
  const Workers workers = pool.workers();
  for (const Use use : kUses) {
    const WinogradConvolution convolution({weights.get(), 48, 48}, channel_positions(1, 48), use, workers);
    const Floats scratch = hwy::AllocateAligned<float>(convolution.scratch_floats(readable(both.map), 2));
    const ConvolutionInput whole{readable(both.map), {}};
    convolution.run({&whole, 1}, {&out.map, 1}, {}, nullptr, scratch.get(), workers);
    const ConvolutionInput parts[] = {{readable(left.map), {}}, {readable(right.map), {}}};
    Picture first(2, height, width, 32, 32, rng), second(2, height, width, 16, 16, rng);
    const Map<float> outputs[] = {first.map, second.map};
    convolution.run(parts, outputs, {}, nullptr, scratch.get(), workers);
    for (std::size_t p = 0; p < both.map.pixels(); ++p) {
      for (std::size_t c = 0; c < 48; ++c) {
        ASSERT_EQ(out.memory[p * 48 + c], c < 32 ? first.memory[p * 32 + c] : second.memory[p * 16 + c - 32]);
      }
    }
  }
}

TEST(FirstConvolution, EqualsTheDefinitionForwardAndBackward) {
  Rng rng(2);
  const std::size_t height = 7, width = 21, channels = 32;
  const Floats grey = random_floats(2 * height * width, rng), weights = random_floats(9 * channels, rng);
  const Floats bias = random_floats(channels, rng);
  Picture out(2, height, width, channels, channels, rng);
  const Picture gradient(2, height, width, channels, channels, rng);
  const Floats part = hwy::AllocateAligned<float>(9 * channels);
  std::vector<float> sums(9 * channels, 0.0F);
  first_convolution(grey.get(), weights.get(), bias.get(), false, {0, 5}, out.map);
  first_convolution(grey.get(), weights.get(), bias.get(), false, {5, 2 * height}, out.map);
  for (const RowRange rows : {RowRange{0, 9}, RowRange{9, 2 * height}}) {
    first_convolution_gradient(grey.get(), readable(gradient.map), rows, part.get());
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += part[k];
  }
  std::vector<double> expected_sums(9 * channels, 0.0);
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) {
        for (std::size_t c = 0; c < channels; ++c) {
          double value = double{bias[c]};
          for (std::size_t tap = 0; tap < 9; ++tap) {
            const std::size_t sy = y + tap / 3 - 1, sx = x + tap % 3 - 1;
            if (sy >= height || sx >= width) continue;
            const double pixel = double{grey[(n * height + sy) * width + sx]};
            value += pixel * double{weights[tap * channels + c]};
            expected_sums[tap * channels + c] += pixel * gradient.at(n, y, x, c);
          }
          ASSERT_NEAR(out.at(n, y, x, c), value, 1e-5);
        }
      }
    }
  }
  for (std::size_t k = 0; k < sums.size(); ++k) EXPECT_NEAR(double{sums[k]}, expected_sums[k], 1e-4);
}

TEST(UpConvolution, EqualsTheDefinitionForwardAndBackward) {
  for (const auto& [in, out] : {std::pair<std::size_t, std::size_t>{32, 16}, {16, 48}, {160, 80}}) {
    Rng rng(in);
    const Picture small(2, 3, 5, in, in, rng), gradient(2, 6, 10, out, out, rng);
    Picture large(2, 6, 10, out, out, rng), small_gradient(2, 3, 5, in, in, rng);
    const Floats weights = random_floats(in * out * 4, rng), bias = random_floats(out, rng);
    ThreadPool pool(2);
    const Workers workers = pool.workers();
    using enum UpConvolution::Direction;
    UpConvolution(weights.get(), in, out, kForward).run(readable(small.map), bias.get(), large.map, workers);
    UpConvolution(weights.get(), in, out, kInputGradient)
        .run_input_gradient(readable(gradient.map), small_gradient.map, workers);
    std::vector<float> weight_gradient(in * out * 4), bias_gradient(out);
    up_convolution_weight_gradient(readable(small.map), readable(gradient.map), weight_gradient.data(),
                                   bias_gradient.data(), workers);
    std::vector<double> forward(large.map.pixels() * out), back(small.map.pixels() * in), dw(in * out * 4), db(out);
    for (std::size_t p = 0; p < large.map.pixels(); ++p) {
      const std::size_t n = p / 60, y = p / 10 % 6, x = p % 10, pixel = y % 2 * 2 + x % 2;
      for (std::size_t o = 0; o < out; ++o) {
        forward[p * out + o] = double{bias[o]};
        db[o] += gradient.at(n, y, x, o);
        for (std::size_t i = 0; i < in; ++i) {
          const std::size_t w = (i * out + o) * 4 + pixel;
          forward[p * out + o] += small.at(n, y / 2, x / 2, i) * double{weights[w]};
          back[((n * 3 + y / 2) * 5 + x / 2) * in + i] += gradient.at(n, y, x, o) * double{weights[w]};
          dw[w] += gradient.at(n, y, x, o) * small.at(n, y / 2, x / 2, i);
        }
      }
    }
    const auto values = [](const float* data, std::size_t count) { return std::vector<double>(data, data + count); };
    EXPECT_LT(relative_error(forward, values(large.memory.get(), forward.size())), 1e-5);
    EXPECT_LT(relative_error(back, values(small_gradient.memory.get(), back.size())), 1e-5);
    EXPECT_LT(relative_error(dw, values(weight_gradient.data(), dw.size())), 1e-5);
    EXPECT_LT(relative_error(db, values(bias_gradient.data(), db.size())), 1e-5);
  }
}

TEST(UpConvolution, RowsThatAreCopiedAreTheRightOnes) {
  constexpr std::size_t kIn = 1024, kOut = 64, kRows = 7,
                        kColumns = 40;  // several groups of rows, the last one smaller
  Rng rng(5);
  const Picture small(2, kRows, kColumns, kIn, kIn, rng);
  Picture large(2, 2 * kRows, 2 * kColumns, kOut, kOut, rng);
  const Floats weights = random_floats(kIn * kOut * 4, rng, 0.03), bias = random_floats(kOut, rng);
  ThreadPool pool(2);
  UpConvolution(weights.get(), kIn, kOut, UpConvolution::Direction::kForward)
      .run(readable(small.map), bias.get(), large.map, pool.workers());
  std::vector<double> expected, actual;
  for (std::size_t k = 0; k < large.map.pixels() * kOut; k += 97) {
    const std::size_t o = k % kOut, p = k / kOut, x = p % (2 * kColumns), y = p / (2 * kColumns) % (2 * kRows),
                      n = p / (4 * kRows * kColumns);
    double sum = double{bias[o]};
    for (std::size_t i = 0; i < kIn; ++i) {
      sum += small.at(n, y / 2, x / 2, i) * double{weights[(i * kOut + o) * 4 + y % 2 * 2 + x % 2]};
    }
    expected.push_back(sum);
    actual.push_back(double{large.memory[k]});
  }
  EXPECT_LT(relative_error(expected, actual), 1e-5);
}

TEST(MomentBlocks, JoinedBlocksEqualTheWhole) {
  Rng rng(3);
  Picture picture(3, 6, 7, 16, 16, rng);
  for (std::size_t k = 0; k < picture.map.pixels() * 16; ++k) picture.memory[k] += 1000;  // far from zero
  MomentBlocks blocks(3, 16);
  std::size_t index = 0;
  for (const RowRange rows : {RowRange{0, 5}, RowRange{5, 6}, RowRange{6, 18}}) {
    moments(readable(picture.map), rows, blocks.block(index++, (rows.end - rows.begin) * 7));
  }
  const auto statistics = blocks.statistics();
  for (std::size_t c = 0; c < 16; ++c) {
    double mean = 0, variance = 0;
    for (std::size_t p = 0; p < 126; ++p) mean += double{picture.memory[p * 16 + c]} / 126;
    for (std::size_t p = 0; p < 126; ++p) variance += std::pow(double{picture.memory[p * 16 + c]} - mean, 2) / 126;
    EXPECT_NEAR(statistics.mean[c], mean, 1e-6 * mean);
    EXPECT_NEAR(statistics.variance[c], variance, 1e-5 * variance);
  }
}

TEST(BatchNorm, PoolsAndHandsGradientsBackToTheFirstLargest) {
  // One channel looked at: a block of four equal pixels, one with a largest, one where nothing passes the ReLU.
  Rng rng(4);
  Picture x(1, 2, 6, 16, 16, rng), z(1, 2, 6, 16, 16, rng), pooled(1, 1, 3, 16, 16, rng);
  const float values[2][6] = {{2, 2, 1, 3, -1, -2}, {2, 2, 0, -5, -3, -4}};
  for (std::size_t p = 0; p < 12; ++p) x.memory[p * 16] = values[p / 6][p % 6];
  const Floats scale = hwy::AllocateAligned<float>(16), shift = hwy::AllocateAligned<float>(16);
  std::fill_n(scale.get(), 16, 2.0F);
  std::fill_n(shift.get(), 16, 1.0F);
  const Rectifier rectifier{scale.get(), shift.get()};
  rectify(readable(x.map), rectifier, {0, 2}, z.map, pooled.map);
  EXPECT_EQ(pooled.at(0, 0, 0, 0), 5);
  EXPECT_EQ(pooled.at(0, 0, 1, 0), 7);
  EXPECT_EQ(pooled.at(0, 0, 2, 0), 0);
  EXPECT_EQ(z.at(0, 1, 3, 0), 0);
  Picture whole(1, 2, 6, 16, 16, rng), out(1, 2, 6, 16, 16, rng);
  for (std::size_t p = 0; p < 12; ++p) whole.memory[p * 16] = static_cast<float>(p);
  for (std::size_t p = 0; p < 3; ++p) pooled.memory[p * 16] = 100;
  const Floats centre = hwy::AllocateAligned<float>(16), sum = hwy::AllocateAligned<float>(16);
  const Floats product = hwy::AllocateAligned<float>(16);
  std::fill_n(centre.get(), 16, 1.0F);
  const RectifiedGradient gradient{readable(whole.map), readable(pooled.map)};
  gradient_moments(readable(x.map), rectifier, gradient, {0, 2}, {centre.get(), sum.get(), product.get()});
  const double g[2][6] = {{100, 1, 2, 103, 0, 0}, {6, 7, 8, 0, 0, 0}};
  double expected_sum = 0, expected_product = 0;
  for (std::size_t p = 0; p < 12; ++p) {
    expected_sum += g[p / 6][p % 6];
    expected_product += g[p / 6][p % 6] * (double{values[p / 6][p % 6]} - 1);
  }
  EXPECT_EQ(sum[0], expected_sum);
  EXPECT_EQ(product[0], expected_product);
  const Floats offset = hwy::AllocateAligned<float>(16), slope = hwy::AllocateAligned<float>(16);
  std::fill_n(offset.get(), 16, 0.5F);
  std::fill_n(slope.get(), 16, 0.25F);
  norm_gradient(readable(x.map), rectifier, gradient, {centre.get(), offset.get(), slope.get()}, {0, 2}, out.map);
  for (std::size_t p = 0; p < 12; ++p) {
    const double value = double{values[p / 6][p % 6]};
    EXPECT_EQ(out.memory[p * 16], 2 * g[p / 6][p % 6] - 0.5 - 0.25 * (value - 1)) << p;
  }
}

TEST(ThreadPool, RunsEveryTaskOnceManyTimes) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), static_cast<std::size_t>(threads));
    for (std::size_t round = 0; round < 500; ++round) {
      std::vector<std::atomic<int>> calls(round % 7);
      std::atomic<bool> thread_ok{true};
      pool.run(calls.size(), [&](std::size_t i, std::size_t thread) {
        ++calls[i];
        if (thread >= pool.size()) thread_ok = false;
      });
      for (const auto& count : calls) ASSERT_EQ(count, 1);
      ASSERT_TRUE(thread_ok);
    }
  }
}

TEST(Layers, LogisticEqualsItsDefinition) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values;
  for (int i = -400; i <= 403; ++i) values.push_back(static_cast<float>(i) * 0.1F);
  for (float x : {88.0F, 104.0F, 177.0F, 178.0F, 250.0F, 500.0F, 1e4F, 1e30F, kInfinity}) {
    values.push_back(x), values.push_back(-x);
  }
  std::vector<float> result = values;
  logistic(result.data(), result.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(result[i], 1 / (1 + std::exp(-double{values[i]})), 1e-6) << values[i];
  }
}

TEST(Layers, LogisticKeepsNotANumber) {
  std::vector<float> values(35, std::numeric_limits<float>::quiet_NaN());
  logistic(values.data(), values.size());
  for (const float value : values) EXPECT_TRUE(std::isnan(value));
}

// A ReLU that makes 0 of NaN hides that a network or an image is broken.
TEST(ReLU, KeepsNotANumber) {
  Rng rng(3);
  Picture picture(1, 12, 12, 16, 16, rng), out(1, 12, 12, 16, 16, rng);
  const auto at_pixel = [](const Picture& p) { return p.memory[(5 * 12 + 5) * 16]; };
  const Floats grey = random_floats(144, rng), weights = random_floats(16 * 16 * 9, rng), bias = random_floats(16, rng);
  grey[5 * 12 + 5] = picture.memory[(5 * 12 + 5) * 16] = std::numeric_limits<float>::quiet_NaN();
  first_convolution(grey.get(), weights.get(), bias.get(), true, {0, 12}, out.map);
  EXPECT_TRUE(std::isnan(at_pixel(out)));
  const Floats ones = random_floats(16, rng, 0);
  for (std::size_t c = 0; c < 16; ++c) ones[c] = 1;
  ThreadPool pool(1);
  const Workers workers = pool.workers();
  for (const Use use : kUses) {
    const WinogradConvolution convolution({weights.get(), 16, 16}, channel_positions(1, 16), use, workers);
    const Floats scratch = allocate_floats(convolution.scratch_floats(readable(picture.map), 1));
    for (const Rectifier& rectifier : {Rectifier{}, Rectifier{ones.get(), ones.get()}}) {
      Epilogue epilogue;
      if (rectifier.scale == nullptr) epilogue.bias = bias.get();
      const ConvolutionInput input{readable(picture.map), rectifier};
      convolution.run({&input, 1}, {&out.map, 1}, epilogue, nullptr, scratch.get(), workers);
      EXPECT_TRUE(std::isnan(at_pixel(out)));
    }
  }
}

TEST(AllocateFloats, ThrowsWhenThereIsNoMemory) { EXPECT_THROW(allocate_floats(std::size_t{1} << 60), std::bad_alloc); }

}  // namespace
}  // namespace cmunet::kernels
