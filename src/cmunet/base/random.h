// SPDX-License-Identifier: Apache-2.0
// Random numbers that are the same on every machine and compiler: std::*_distribution is not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace cmunet {

/// xoshiro256** seeded through SplitMix64 (Blackman & Vigna, 2018). Small, fast, and its state can be saved.
/// Not thread-safe: give each thread or item its own, e.g. `Rng(seed).fork(index)`.
class Rng {
 public:
  explicit Rng(std::uint64_t seed = 0);

  /// Next 64 random bits.
  std::uint64_t next();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Uniform integer in [0, n), unbiased. n must be positive.
  std::uint64_t below(std::uint64_t n);
  /// Uniform integer in [low, high], both included.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  /// Normal with mean 0 and standard deviation 1 (polar method).
  double normal();
  /// Poisson with the given mean (inversion below 30, normal approximation rounded at and above it).
  std::uint64_t poisson(double mean);
  /// True with probability p.
  bool bernoulli(double p);
  /// An independent generator for item `index`, from this one's seed and not its position.
  Rng fork(std::uint64_t index) const;
  /// The permutation of 0…n-1 by Fisher-Yates.
  std::vector<std::int64_t> permutation(std::int64_t n);

  /// Everything needed to continue exactly: seed, four state words, the spare normal deviate.
  using State = std::array<std::uint64_t, 7>;
  State state() const;
  void set_state(const State& state);

 private:
  std::uint64_t seed_;
  std::array<std::uint64_t, 4> s_;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

/// NumPy's legacy `RandomState(seed).permutation(n)`: MT19937, masked rejection. It is what scikit-learn's
/// `train_test_split(random_state=seed)` and `KFold(shuffle=True)` use, so splits made in Python are reproduced.
std::vector<std::int64_t> numpy_permutation(std::uint32_t seed, std::int64_t n);

}  // namespace cmunet
