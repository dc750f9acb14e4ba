// SPDX-License-Identifier: Apache-2.0
// The small parts of base: errors, hashes, the log sink.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/log.h"
#include "cmunet/base/number.h"
#include "cmunet/base/parallel.h"
#include "cmunet/base/version.h"

namespace cmunet {
namespace {

struct StatusRow {
  ErrorCode code;
  int status;
  std::string_view name;
};

class ErrorStatus : public testing::TestWithParam<StatusRow> {};

// Scripts rely on these numbers: docs/reference/exit-status-and-errors.md.
TEST_P(ErrorStatus, IsStable) {
  EXPECT_EQ(exit_status(GetParam().code), GetParam().status);
  EXPECT_EQ(to_string(GetParam().code), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    All, ErrorStatus,
    testing::Values(StatusRow{ErrorCode::kInvalidArgument, 2, "invalid argument"},
                    StatusRow{ErrorCode::kNotFound, 3, "not found"}, StatusRow{ErrorCode::kCorrupt, 3, "corrupt"},
                    StatusRow{ErrorCode::kUnsupported, 3, "unsupported"}, StatusRow{ErrorCode::kIo, 3, "input/output"},
                    StatusRow{ErrorCode::kOutOfMemory, 4, "out of memory"},
                    StatusRow{ErrorCode::kNumeric, 5, "numeric"}, StatusRow{ErrorCode::kCancelled, 6, "cancelled"},
                    StatusRow{ErrorCode::kInternal, 1, "internal"}));

TEST(Error, JoinsMessageAndHint) {
  const Error plain(ErrorCode::kCorrupt, "[x] seen; expected");
  EXPECT_STREQ(plain.what(), "[x] seen; expected");
  const Error hinted(ErrorCode::kCorrupt, "[x] seen; expected", "do this");
  EXPECT_STREQ(hinted.what(), "[x] seen; expected. Hint: do this");
  EXPECT_EQ(hinted.message(), "[x] seen; expected");
  EXPECT_EQ(hinted.hint(), "do this");
}

TEST(Error, CheckBuildsItsMessageOnlyWhenItFails) {
  int built = 0;
  const auto part = [&] {
    ++built;
    return "part";
  };
  CMUNET_CHECK(true, ErrorCode::kInternal, part());
  EXPECT_EQ(built, 0);
  try {
    CMUNET_CHECK(1 > 2, ErrorCode::kNumeric, "[check] n is ", 1, "; ", part());
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNumeric);
    EXPECT_EQ(e.message(), "[check] n is 1; part");
  }
}

// The published XXH3 128-bit values of the empty input and, from the xxhsum program, of "abc": they stand in files.
TEST(Hash, IsTheSameForEver) {
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_hex("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Hash, OfPiecesEqualsHashOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 31);
  Hasher hasher;
  for (std::size_t at = 0; at < text.size(); at += 613) hasher.update(std::string_view(text).substr(at, 613));
  EXPECT_EQ(hasher.hex(), hash_hex(text));
  EXPECT_EQ(hasher.hex(), hash_hex(text)) << "asking twice changes nothing";
  hasher.update("more");
  EXPECT_NE(hasher.hex(), hash_hex(text));
}

TEST(Hash, NoticesEveryFlippedBit) {
  std::string text(100, 'a');
  const std::string before = hash_hex(text);
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(hash_hex(text), before) << "bit " << bit;
    text[bit / 8] = 'a';
  }
}

// The sink is one for the process, so every test puts the silent one back.
class Log : public testing::Test {
 protected:
  ~Log() override { set_log_sink({}); }
};

TEST_F(Log, IsSilentWithoutASinkAndPassesTextAndLevelToOne) {
  log_info("nobody hears this");
  std::vector<std::pair<LogLevel, std::string>> heard;
  set_log_sink([&](LogLevel level, std::string_view text) { heard.emplace_back(level, text); });
  log_info("epoch ", 3, " of ", 10);
  log_warning("careful");
  set_log_sink({});
  log_info("nor this");
  EXPECT_THAT(heard, testing::ElementsAre(testing::Pair(LogLevel::kInfo, "epoch 3 of 10"),
                                          testing::Pair(LogLevel::kWarning, "careful")));
}

TEST_F(Log, CallsTheSinkOnceAtATime) {
  int calls = 0;  // unprotected on purpose: the thread sanitizer sees it if two calls overlap
  set_log_sink([&](LogLevel, std::string_view) { ++calls; });
  std::array<std::thread, 2> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([] {
      for (int i = 0; i < 1000; ++i) log_info(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls, 2000);
}

TEST(ForEachParallel, DoesEverythingOnceAndThrowsTheFirstError) {
  std::array<int, 100> counts{};
  for_each_parallel(counts.size(), 2, [&](std::size_t i) { ++counts[i]; });
  EXPECT_THAT(counts, testing::Each(1));
  for_each_parallel(0, 2, [](std::size_t) { FAIL(); });
  try {
    for_each_parallel(100, 2, [](std::size_t i) {
      if (i >= 3) throw Error(ErrorCode::kIo, concat("image ", i));
    });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "image 3");
  }
}

TEST(Version, CarriesTheDisclaimer) { EXPECT_STREQ(kDisclaimer, "Research software, not for clinical use."); }

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_number<int>("-12"), -12);
  EXPECT_EQ(parse_number<double>("2.5e-1"), 0.25);
  for (const char* text : {"", " 1", "1 ", "+1", "1,", "x", "99999999999"}) {
    EXPECT_FALSE(parse_number<int>(text).has_value()) << text;
  }
  EXPECT_FALSE(parse_number<int>("1.5").has_value());
  EXPECT_FALSE(parse_number<double>("1e400").has_value());
}

}  // namespace
}  // namespace cmunet
