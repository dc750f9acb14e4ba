// SPDX-License-Identifier: Apache-2.0
#include "cmunet/pacs/spool.h"

#include <gtest/gtest.h>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet::pacs {
namespace {
namespace fs = std::filesystem;

Spool::Taken take_bytes(Spool& spool, const std::string& uid, const std::string& bytes) {
  const fs::path file = spool.receiving_folder() / "arrived.part";
  write_file_atomic(file, bytes);
  return spool.take(file, uid);
}

Spool::Taken take(Spool& spool, const std::string& uid) { return take_bytes(spool, uid, "object " + uid); }

void make_results(Spool& spool, const std::string& key) {
  ASSERT_TRUE(spool.begin_attempt(key));
  const fs::path folder = spool.fresh_results_folder(key);
  write_file_atomic(folder / "seg.dcm", "seg");
  write_file_atomic(folder / "sr.dcm", "sr");
  spool.publish_results(key);
}

TEST(Spool, TakesAnObjectThroughItsStates) {
  const ScratchFolder folder;
  Spool spool(folder / "spool", {});
  EXPECT_EQ(take(spool, "1.2.3"), Spool::Taken::kStored);
  EXPECT_EQ(spool.counts().incoming, 1);
  EXPECT_TRUE(fs::is_empty(spool.receiving_folder()));
  const std::string key = spool.next().value();
  EXPECT_EQ(key, Spool::key_of("1.2.3"));
  EXPECT_EQ(read_file(spool.source(key)), "object 1.2.3");
  EXPECT_TRUE(spool.unsent().empty());
  make_results(spool, key);
  EXPECT_FALSE(spool.next().has_value());
  EXPECT_EQ(spool.unsent(), std::vector{key});
  EXPECT_EQ(spool.unsent_results(key).size(), 2U);
  spool.mark_sent(spool.unsent_results(key).front());
  EXPECT_EQ(spool.unsent_results(key).front().filename(), "sr.dcm");
  spool.mark_sent(spool.unsent_results(key).front());
  spool.finish(key);
  EXPECT_EQ(spool.counts().done, 1);
  EXPECT_EQ(spool.counts().working, 0);
  const fs::path done = folder / "spool" / "done" / key;
  EXPECT_FALSE(fs::exists(done / "source.dcm"));
  const Json record = load_json(done / "record.json");
  EXPECT_EQ(record["sent"].size(), 2U);
  EXPECT_EQ(record.dump().find("1.2.3"), std::string::npos);
}

TEST(Spool, TakesEveryObjectOnce) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {});
  EXPECT_EQ(take(spool, "1.2.3"), Spool::Taken::kStored);
  EXPECT_EQ(take(spool, "1.2.3"), Spool::Taken::kKnown);
  const std::string key = spool.next().value();
  EXPECT_EQ(take(spool, "1.2.3"), Spool::Taken::kKnown);
  make_results(spool, key);
  spool.finish(key);
  EXPECT_EQ(take(spool, "1.2.3"), Spool::Taken::kKnown);
  EXPECT_FALSE(spool.next().has_value());
  EXPECT_TRUE(fs::is_empty(spool.receiving_folder()));
}

TEST(Spool, TriesAFailedObjectAgainWhenItComesAgain) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {});
  take(spool, "1.2.3");
  const std::string key = spool.next().value();
  ASSERT_TRUE(spool.begin_attempt(key));
  spool.fail(key, "no vessel");
  EXPECT_EQ(spool.counts().failed, 1);
  EXPECT_EQ(load_json(folder / "failed" / key / "record.json")["reason"], "no vessel");
  EXPECT_FALSE(spool.next().has_value());
  EXPECT_EQ(take_bytes(spool, "1.2.3", "corrected"), Spool::Taken::kKnown);
  EXPECT_EQ(spool.next(), key);
  EXPECT_EQ(read_file(spool.source(key)), "corrected");
  EXPECT_TRUE(fs::is_empty(spool.receiving_folder()));
}

TEST(Spool, KeepsTheSourceOfResultsThatWereRefused) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {});
  take(spool, "1.2.3");
  const std::string key = spool.next().value();
  make_results(spool, key);
  spool.fail(key, "not wanted");
  EXPECT_EQ(take_bytes(spool, "1.2.3", "another"), Spool::Taken::kKnown);
  EXPECT_EQ(spool.unsent(), std::vector{key});
  EXPECT_EQ(read_file(spool.source(key)), "object 1.2.3");
  EXPECT_TRUE(fs::is_empty(spool.receiving_folder()));
}

TEST(Spool, RefusesWhenFull) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {.max_jobs = 2});
  EXPECT_EQ(take(spool, "1.1"), Spool::Taken::kStored);
  EXPECT_EQ(take(spool, "1.2"), Spool::Taken::kStored);
  EXPECT_EQ(take(spool, "1.3"), Spool::Taken::kFull);
  EXPECT_EQ(take(spool, "1.2"), Spool::Taken::kKnown);
  spool.next();
  EXPECT_EQ(take(spool, "1.3"), Spool::Taken::kFull);
}

TEST(Spool, FindsEverythingAgain) {
  const ScratchFolder folder;
  std::string with_results, without;
  {
    Spool spool(folder.path(), {});
    take(spool, "1.1");
    with_results = spool.next().value();
    make_results(spool, with_results);
    spool.mark_sent(spool.unsent_results(with_results).front());
    take(spool, "1.2");
    without = spool.next().value();
    ASSERT_TRUE(spool.begin_attempt(without));
    write_file_atomic(spool.fresh_results_folder(without) / "half.dcm", "half");
    take(spool, "1.3");
    write_file_atomic(spool.receiving_folder() / "broken.part", "half");
    fs::create_directory(folder / "working" / Spool::key_of("1.3"));  // died before the object was moved into it
  }
  Spool spool(folder.path(), {});
  EXPECT_TRUE(fs::is_empty(spool.receiving_folder()));
  EXPECT_EQ(spool.unsent(), std::vector{with_results});
  EXPECT_EQ(spool.unsent_results(with_results).size(), 1U);
  EXPECT_EQ(spool.next(), without);
  make_results(spool, without);
  EXPECT_EQ(spool.unsent_results(without).size(), 2U);
  EXPECT_EQ(spool.next(), Spool::key_of("1.3"));
}

TEST(Spool, FinishesWhatItDiedPuttingAway) {
  const ScratchFolder folder;
  std::string key;
  {
    Spool spool(folder.path(), {});
    take(spool, "1.1");
    key = spool.next().value();
    make_results(spool, key);
    for (const fs::path& result : spool.unsent_results(key)) spool.mark_sent(result);
    fs::remove(spool.source(key));  // the first that `finish` does
  }
  Spool spool(folder.path(), {});
  EXPECT_EQ(spool.unsent(), std::vector{key});
  EXPECT_TRUE(spool.unsent_results(key).empty());
  spool.finish(key);
  EXPECT_EQ(spool.counts().done, 1);
  EXPECT_EQ(take(spool, "1.1"), Spool::Taken::kKnown);
}

TEST(Spool, GivesUpAnObjectThatKillsTheNode) {
  const ScratchFolder folder;
  for (int i = 0; i < 4; ++i) {
    Spool spool(folder.path(), {.max_attempts = 3});
    if (i == 0) take(spool, "1.1");
    EXPECT_EQ(spool.begin_attempt(spool.next().value()), i < 3);
  }
}

TEST(Spool, AnAttemptThatIsForgottenDoesNotCount) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {.max_attempts = 1});
  take(spool, "1.1");
  const std::string key = spool.next().value();
  EXPECT_TRUE(spool.begin_attempt(key));
  spool.forget_attempt(key);
  EXPECT_TRUE(spool.begin_attempt(key));
  EXPECT_FALSE(spool.begin_attempt(key));
}

TEST(Spool, PassesOverWhatWaits) {
  const ScratchFolder folder;
  Spool spool(folder.path(), {});
  take(spool, "1.1");
  take(spool, "1.2");
  const std::string first = spool.next().value();
  EXPECT_EQ(spool.next(), first);
  const std::string second = spool.next({first}).value();
  EXPECT_NE(second, first);
  EXPECT_FALSE(spool.next({first, second}).has_value());
}

TEST(Spool, IsUsedByOneProcess) {
  const ScratchFolder folder;
  const Spool spool(folder.path(), {});
  EXPECT_THROW(Spool(folder.path(), {}), Error);
  const fs::perms others = fs::perms::group_all | fs::perms::others_all;
  EXPECT_EQ(fs::status(folder.path()).permissions() & others, fs::perms::none);
}

}  // namespace
}  // namespace cmunet::pacs
