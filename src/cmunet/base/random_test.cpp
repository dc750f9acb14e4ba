// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "cmunet/base/error.h"

namespace cmunet {
namespace {

constexpr int kDraws = 200'000;

// Chi-square of counts against equal expectation, as a distance in standard deviations of its distribution.
double chi_square_sigmas(const std::vector<double>& counts) {
  const double expected = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double chi = 0;
  for (const double count : counts) chi += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

template <typename Draw>
Moments moments_of(Draw draw) {
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kDraws;
  return {mean, squares / kDraws - mean * mean};
}

// First outputs of the published xoshiro256** and SplitMix64 algorithms, computed by an independent program.
TEST(Rng, GivesThePublishedSequence) {
  const std::array<std::pair<std::uint64_t, std::array<std::uint64_t, 4>>, 3> golden{{
      {0, {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0, 0x6aa594f1262d2d2c}},
      {42, {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1, 0xecb8ad4703b360a1}},
      {~std::uint64_t{0}, {0x8f5520d52a7ead08, 0xc476a018caa1802d, 0x81de31c0d260469e, 0xbf658d7e065f3c2f}},
  }};
  for (const auto& [seed, expected] : golden) {
    Rng rng(seed);
    for (const std::uint64_t word : expected) EXPECT_EQ(rng.next(), word) << "seed " << seed;
  }
  Rng rng(42);
  EXPECT_EQ(rng.uniform(), 0.08386297105988216);
  EXPECT_EQ(rng.uniform(), 0.3789802506626686);
}

TEST(Rng, UniformFillsTheUnitIntervalEvenly) {
  Rng rng(1);
  std::vector<double> counts(100);
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.uniform();
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    ++counts[static_cast<std::size_t>(x * 100)];
  }
  EXPECT_LT(std::abs(chi_square_sigmas(counts)), 5);
}

TEST(Rng, UniformKeepsItsBounds) {
  Rng rng(2);
  for (int i = 0; i < 1000; ++i) {
    const double x = rng.uniform(-3, -1);
    ASSERT_GE(x, -3);
    ASSERT_LT(x, -1);
  }
}

TEST(Rng, BelowIsEvenForSmallCounts) {
  for (const std::uint64_t n : {2U, 3U, 7U, 10U, 64U}) {
    Rng rng(n);
    std::vector<double> counts(n);
    for (int i = 0; i < kDraws; ++i) ++counts.at(rng.below(n));
    EXPECT_LT(std::abs(chi_square_sigmas(counts)), 5) << "n " << n;
  }
}

// With n = 3 * 2^62 a plain remainder would give the lowest quarter of 2^64 twice: half of all draws instead of a
// third.
TEST(Rng, BelowIsUnbiasedForHugeCounts) {
  const std::uint64_t n = std::uint64_t{3} << 62;
  Rng rng(5);
  std::vector<double> counts(3);
  for (int i = 0; i < kDraws; ++i) ++counts.at(rng.below(n) >> 62);
  EXPECT_LT(std::abs(chi_square_sigmas(counts)), 5);
}

TEST(Rng, BelowRefusesZero) { EXPECT_THROW(Rng(1).below(0), Error); }

TEST(Rng, IntegerIncludesBothEndsAndTheWholeRange) {
  Rng rng(6);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.integer(-2, 2));
  EXPECT_EQ(seen, (std::set<std::int64_t>{-2, -1, 0, 1, 2}));
  EXPECT_EQ(rng.integer(7, 7), 7);
  constexpr auto kLow = std::numeric_limits<std::int64_t>::min();
  constexpr auto kHigh = std::numeric_limits<std::int64_t>::max();
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) (rng.integer(kLow, kHigh) < 0 ? negative : positive) = true;
  EXPECT_TRUE(negative && positive);
  EXPECT_EQ(rng.integer(kHigh, kHigh), kHigh);
  EXPECT_THROW(rng.integer(1, 0), Error);
}

TEST(Rng, NormalHasTheMomentsAndTailsOfANormal) {
  Rng rng(7);
  const Moments moments = moments_of([&] { return rng.normal(); });
  EXPECT_NEAR(moments.mean, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(moments.variance, 1, 5 * std::sqrt(2.0 / kDraws));
  int beyond_two = 0;
  for (int i = 0; i < kDraws; ++i) beyond_two += std::abs(rng.normal()) > 2 ? 1 : 0;
  EXPECT_NEAR(beyond_two / static_cast<double>(kDraws), 0.0455, 0.0025);
}

TEST(Rng, PoissonHasEqualMeanAndVariance) {
  for (const double mean : {0.1, 1.0, 8.0, 29.9, 30.1, 400.0}) {
    Rng rng(8);
    const Moments moments = moments_of([&] { return static_cast<double>(rng.poisson(mean)); });
    EXPECT_NEAR(moments.mean, mean, 5 * std::sqrt(mean / kDraws)) << "mean " << mean;
    // The normal approximation rounds, which adds 1/12.
    EXPECT_NEAR(moments.variance, mean + (mean >= 30 ? 1.0 / 12 : 0.0), 0.02 * mean + 0.01) << "mean " << mean;
  }
  EXPECT_EQ(Rng(1).poisson(0), 0U);
  EXPECT_EQ(Rng(1).poisson(-1), 0U);
}

TEST(Rng, BernoulliHasItsProbability) {
  Rng rng(9);
  EXPECT_NEAR(moments_of([&] { return rng.bernoulli(0.3) ? 1.0 : 0.0; }).mean, 0.3, 0.006);
  EXPECT_FALSE(rng.bernoulli(0));
  EXPECT_TRUE(rng.bernoulli(1));
}

TEST(Rng, ContinuesExactlyFromASavedState) {
  Rng rng(10);
  rng.normal();  // leaves a spare deviate in the state
  const Rng::State saved = rng.state();
  std::vector<double> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(i % 3 == 0 ? rng.uniform() : rng.normal());
  Rng restored(999);
  restored.set_state(saved);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(i % 3 == 0 ? restored.uniform() : restored.normal(), expected[static_cast<std::size_t>(i)]) << i;
  }
  Rng again(999);
  again.set_state(saved);
  EXPECT_EQ(again.fork(3).next(), Rng(10).fork(3).next()) << "the seed, and with it the forks, is part of the state";
}

TEST(Rng, ForksDependOnSeedAndIndexAndNotOnPosition) {
  Rng rng(11);
  const std::uint64_t before = rng.fork(5).next();
  rng.next();
  EXPECT_EQ(rng.fork(5).next(), before);
  EXPECT_NE(rng.fork(6).next(), before);
  EXPECT_NE(Rng(12).fork(5).next(), before);
  EXPECT_NE(Rng(11).next(), Rng(11).fork(0).next());
}

// Neighbouring indices and neighbouring seeds are the usual case: one fork per image, one seed per run.
TEST(Rng, ForksAreIndependent) {
  std::set<std::uint64_t> first_words;
  std::vector<double> counts(64);
  double product = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    double previous = 0.5;
    for (std::uint64_t index = 0; index < 500; ++index) {
      Rng fork = Rng(seed).fork(index);
      first_words.insert(fork.next());
      const double x = fork.uniform();
      ++counts[static_cast<std::size_t>(x * 64)];
      product += (x - 0.5) * (previous - 0.5) * 12;
      previous = x;
    }
  }
  EXPECT_EQ(first_words.size(), 50'000U) << "two forks give the same sequence";
  EXPECT_LT(std::abs(chi_square_sigmas(counts)), 5);
  EXPECT_LT(std::abs(product) / std::sqrt(50'000.0), 5) << "neighbouring forks are correlated";
}

TEST(Rng, PermutationsAreCompleteAndEven) {
  Rng rng(13);
  std::vector<double> counts(24);
  for (int i = 0; i < 24'000; ++i) {
    const std::vector<std::int64_t> order = rng.permutation(4);
    ASSERT_TRUE(std::is_permutation(order.begin(), order.end(), std::array<std::int64_t, 4>{0, 1, 2, 3}.begin()));
    std::size_t rank = 0;  // Lehmer code
    for (std::size_t a = 0; a < 4; ++a) {
      rank *= 4 - a;
      for (std::size_t b = a + 1; b < 4; ++b) rank += order[b] < order[a] ? 1 : 0;
    }
    ++counts.at(rank);
  }
  EXPECT_LT(std::abs(chi_square_sigmas(counts)), 5);
  EXPECT_TRUE(rng.permutation(0).empty());
  EXPECT_THROW(rng.permutation(-1), Error);
}

// Values of numpy.random.RandomState(seed).permutation(n): its first eight, and sum of i * p[i] over all.
struct NumpyCase {
  std::uint32_t seed;
  std::int64_t n;
  std::vector<std::int64_t> first;
  std::int64_t weighted_sum;
};

class NumpyPermutation : public testing::TestWithParam<NumpyCase> {};

TEST_P(NumpyPermutation, MatchesNumPy) {
  const NumpyCase& expected = GetParam();
  const std::vector<std::int64_t> order = numpy_permutation(expected.seed, expected.n);
  ASSERT_EQ(order.size(), static_cast<std::size_t>(expected.n));
  EXPECT_TRUE(std::equal(expected.first.begin(), expected.first.end(), order.begin()));
  std::int64_t weighted_sum = 0;
  for (std::size_t i = 0; i < order.size(); ++i) weighted_sum += static_cast<std::int64_t>(i) * order[i];
  EXPECT_EQ(weighted_sum, expected.weighted_sum);
}

INSTANTIATE_TEST_SUITE_P(
    Golden, NumpyPermutation,
    testing::Values(NumpyCase{42, 1, {0}, 0}, NumpyCase{42, 2, {1, 0}, 0},
                    NumpyCase{42, 10, {8, 1, 5, 0, 7, 2, 9, 4}, 209},
                    NumpyCase{7, 257, {133, 249, 161, 24, 57, 65, 2, 132}, 4308745},
                    NumpyCase{0, 1000, {993, 859, 298, 553, 672, 971, 27, 231}, 247872640},
                    NumpyCase{4294967295, 4096, {998, 2320, 2269, 1694, 3803, 2070, 1326, 992}, 17139924908}));

// The published split of 1,738 images: 348 for testing, the rest in order for training; of these 18 for fine-tuning.
TEST(NumpySplit, ReproducesThePublishedSplit) {
  const std::vector<std::int64_t> order = numpy_permutation(42, 1738);
  const std::vector<std::int64_t> test_starts{482, 1506, 950, 1005, 705, 275, 438, 1312};
  const std::vector<std::int64_t> train_starts{561, 43, 100, 274, 1265, 101, 745, 107};
  EXPECT_TRUE(std::equal(test_starts.begin(), test_starts.end(), order.begin()));
  EXPECT_TRUE(std::equal(train_starts.begin(), train_starts.end(), order.begin() + 348));
  std::vector<std::int64_t> finetune = numpy_permutation(42, 1390);
  finetune.resize(18);
  EXPECT_EQ(finetune, (std::vector<std::int64_t>{558, 168, 240, 664, 271, 585, 1329, 552, 901, 1048, 680, 1177, 344,
                                                 270, 67, 231, 720, 101}));
}

TEST(NumpySplit, RefusesWhatNumPyDoesOtherwise) {
  EXPECT_TRUE(numpy_permutation(42, 0).empty());
  EXPECT_THROW(numpy_permutation(42, -1), Error);
  EXPECT_THROW(numpy_permutation(42, (std::int64_t{1} << 32) + 1), Error);
}

}  // namespace
}  // namespace cmunet
