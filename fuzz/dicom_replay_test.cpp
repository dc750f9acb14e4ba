// SPDX-License-Identifier: Apache-2.0
// All seeds, and some thousand mutations of them that are the same everywhere: what a fuzzer would try first.
#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "cmunet/base/random.h"
#include "dicom_reader.h"
#include "dicom_seeds.h"

namespace cmunet::fuzz {
namespace {

constexpr int kMutations = 4000;
constexpr std::size_t kMaxBytes = 1 << 20;

void read(const std::string& bytes) { read_dicom({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}); }

std::size_t place_in(const std::string& bytes, Rng& rng) { return rng.below(bytes.size() + 1); }

void mutate(std::string& bytes, const std::string& other, Rng& rng) {
  constexpr std::array<std::uint32_t, 10> kNumbers{0,          1,          0xff,       0xffff,     0x7fffffff,
                                                   0x80000000, 0xfffffffe, 0xffffffff, 0xe000fffe, 0xe0ddfffe};
  const std::size_t at = place_in(bytes, rng);
  const std::size_t count = std::min<std::size_t>(rng.below(64), bytes.size() - at);
  switch (rng.below(6)) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << rng.below(8));
      break;
    case 1:
      for (std::size_t i = at; i < at + count; ++i) bytes[i] = static_cast<char>(rng.next());
      break;
    case 2: {
      const std::uint32_t number = kNumbers[rng.below(kNumbers.size())];
      for (std::size_t i = 0; i < 4 && at + i < bytes.size(); ++i) bytes[at + i] = static_cast<char>(number >> (8 * i));
      break;
    }
    case 3: bytes.erase(at, count); break;
    case 4: bytes.insert(at, bytes.substr(at, count)); break;
    default: bytes = bytes.substr(0, at) + other.substr(std::min(at, other.size())); break;
  }
}

TEST(DicomReplay, SeedsEndWellOrInAnError) {
  for (const Seed& seed : dicom_seeds()) {
    SCOPED_TRACE(seed.name);
    EXPECT_NO_THROW(read(seed.bytes));
  }
}

TEST(DicomReplay, MutationsEndWellOrInAnError) {
  const std::vector<Seed> seeds = dicom_seeds();
  for (int i = 0; i < kMutations; ++i) {
    Rng rng(static_cast<std::uint64_t>(i));
    std::string bytes = seeds[rng.below(seeds.size())].bytes;
    for (auto left = 1 + rng.below(5); left > 0; --left) {
      mutate(bytes, seeds[rng.below(seeds.size())].bytes, rng);
    }
    if (bytes.size() > kMaxBytes) continue;
    const auto start = std::chrono::steady_clock::now();
    ASSERT_NO_THROW(read(bytes)) << "mutation " << i;
    ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << "mutation " << i;
  }
}

}  // namespace
}  // namespace cmunet::fuzz
