// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "cmunet/base/error.h"

namespace cmunet {
namespace {

std::uint64_t split_mix(std::uint64_t& x) {
  x += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = x;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::vector<std::int64_t> identity(std::int64_t n) {
  CMUNET_CHECK(n >= 0, ErrorCode::kInvalidArgument, "[permutation] n is ", n, "; must not be negative");
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  return order;
}

}  // namespace

Rng::Rng(std::uint64_t seed) : seed_(seed), s_{} {
  std::uint64_t x = seed;
  for (auto& word : s_) word = split_mix(x);
}

std::uint64_t Rng::next() {
  const std::uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const std::uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

double Rng::uniform(double low, double high) { return low + (high - low) * uniform(); }

std::uint64_t Rng::below(std::uint64_t n) {
  CMUNET_CHECK(n > 0, ErrorCode::kInvalidArgument, "[Rng::below] n is 0; must be positive");
  const std::uint64_t limit = n * (~std::uint64_t{0} / n);
  std::uint64_t x = next();
  while (x >= limit) x = next();
  return x % n;
}

std::int64_t Rng::integer(std::int64_t low, std::int64_t high) {
  CMUNET_CHECK(low <= high, ErrorCode::kInvalidArgument, "[Rng::integer] low is ", low, ", high ", high,
               "; low must not be above high");
  // Unsigned arithmetic wraps where the signed one would overflow; a count of 0 then means all 2^64 values.
  const std::uint64_t count = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  const std::uint64_t offset = count == 0 ? next() : below(count);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
}

double Rng::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  double u = 0, v = 0, s = 0;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  const double factor = std::sqrt(-2 * std::log(s) / s);
  spare_normal_ = v * factor;
  has_spare_ = true;
  return u * factor;
}

std::uint64_t Rng::poisson(double mean) {
  if (mean <= 0) return 0;
  if (mean >= 30) {
    const double x = std::round(mean + std::sqrt(mean) * normal());
    return x > 0 ? static_cast<std::uint64_t>(x) : 0;
  }
  const double limit = std::exp(-mean);
  std::uint64_t k = 0;
  for (double p = uniform(); p > limit; p *= uniform()) ++k;
  return k;
}

bool Rng::bernoulli(double p) { return uniform() < p; }

Rng Rng::fork(std::uint64_t index) const {
  std::uint64_t x = seed_;
  std::uint64_t y = split_mix(x) ^ (index * 0xd1342543de82ef95ULL + 0x2545f4914f6cdd1dULL);
  return Rng(split_mix(y));
}

std::vector<std::int64_t> Rng::permutation(std::int64_t n) {
  std::vector<std::int64_t> order = identity(n);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

Rng::State Rng::state() const {
  return {seed_, s_[0], s_[1], s_[2], s_[3], std::bit_cast<std::uint64_t>(spare_normal_), has_spare_ ? 1ULL : 0ULL};
}

void Rng::set_state(const State& state) {
  seed_ = state[0];
  s_ = {state[1], state[2], state[3], state[4]};
  spare_normal_ = std::bit_cast<double>(state[5]);
  has_spare_ = state[6] != 0;
}

std::vector<std::int64_t> numpy_permutation(std::uint32_t seed, std::int64_t n) {
  // std::mt19937 seeds exactly as MT19937's init_genrand, which NumPy's legacy seeding uses.
  std::mt19937 mt(seed);
  CMUNET_CHECK(n <= std::int64_t{1} << 32, ErrorCode::kInvalidArgument, "[numpy_permutation] n is ", n,
               "; at most 2^32, where NumPy goes over to 64-bit draws");
  std::vector<std::int64_t> order = identity(n);
  for (std::int64_t i = n - 1; i >= 1; --i) {
    const std::uint64_t mask = std::bit_ceil(static_cast<std::uint64_t>(i) + 1) - 1;
    std::uint64_t j = mt() & mask;
    while (j > static_cast<std::uint64_t>(i)) j = mt() & mask;
    std::swap(order[static_cast<std::size_t>(i)], order[j]);
  }
  return order;
}

}  // namespace cmunet
