// SPDX-License-Identifier: Apache-2.0
// How many multiplications per second one core does at best, in fp32 and in 8 bits: what direct convolution in 8 bits
// could gain over fp32 before anything is loaded, quantised or stored. x86-64 with AVX2.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

constexpr int kSums = 10;  // independent, enough to keep both units busy, few enough for the registers
constexpr long kTurns = 4'000'000;
constexpr int kRounds = 9;

// Keeps the compiler from moving `x` out of a loop or leaving its computation out.
template <typename Vector>
inline void touch(Vector& x) {
  asm volatile("" : "+x"(x));
}

template <typename Body>
double seconds(const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// 8 products per instruction.
__attribute__((target("avx2,fma"))) void multiply_fp32() {
  __m256 sums[kSums], a = _mm256_set1_ps(1e-9F), b = _mm256_set1_ps(0.5F);
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (long turn = 0; turn < kTurns; ++turn) {
    touch(a);
#pragma GCC unroll 10
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(a, b, sum);
  }
  for (__m256& sum : sums) touch(sum);
}

// 32 products of 8 bits, pairs of which are added in 16 bits, those in 32, and these to the sum.
__attribute__((target("avx2"))) void multiply_int8() {
  __m256i sums[kSums], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), ones = _mm256_set1_epi16(1);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (long turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 10
    for (__m256i& sum : sums) {
      touch(a);
      const __m256i pairs = _mm256_maddubs_epi16(a, b);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  for (__m256i& sum : sums) touch(sum);
}

// 32 products and their addition in one instruction.
__attribute__((target("avx512vnni,avx512vl"))) void multiply_int8_vnni() {
  __m256i sums[kSums], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (long turn = 0; turn < kTurns; ++turn) {
    touch(a);
#pragma GCC unroll 10
    for (__m256i& sum : sums) sum = _mm256_dpbusd_epi32(sum, a, b);
  }
  for (__m256i& sum : sums) touch(sum);
}

double rate(void (*multiply)(), double products) {
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) times.push_back(seconds(multiply));
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return products * kSums * kTurns / times[kRounds / 2] / 1e9;
}

}  // namespace

int main() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::puts("needs AVX2");
    return 1;
  }
  const double fp32 = rate(multiply_fp32, 8), int8 = rate(multiply_int8, 32);
  std::printf("fp32, AVX2 (256 bit): %.0f G products/s\n", fp32);
  std::printf("int8, AVX2 (256 bit): %.0f G products/s, %.2f times as many\n", int8, int8 / fp32);
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl")) {
    const double vnni = rate(multiply_int8_vnni, 32);
    std::printf("int8, VNNI (256 bit): %.0f G products/s, %.2f times as many\n", vnni, vnni / fp32);
  }
}
