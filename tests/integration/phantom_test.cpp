// SPDX-License-Identifier: Apache-2.0
// The built program: `cmunet phantom` writes what it says, the same on any number of threads, and refuses what it
// should.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/version.h"
#include "cmunet/codec/codec.h"
#include "run_program.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class PhantomCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(::testing::TempDir()) / concat("cmunet_phantom_", test->name());
    fs::remove_all(root);
    fs::create_directories(root);
  }
  void TearDown() override { fs::remove_all(root); }

  Outcome phantom(const std::string& folder, const std::string& flags) const {
    return run_program(CMUNET_PROGRAM, concat("phantom --out ", root / folder, " ", flags), root);
  }

  // Every file below `folder` with its bytes, in the order of their names.
  std::vector<std::pair<std::string, std::string>> files_of(const std::string& folder) const {
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file()) continue;
      files.emplace_back(fs::relative(entry.path(), root / folder).string(), read_file(entry.path()));
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  fs::path root;
};

TEST_F(PhantomCommand, WritesPictureMaskTruthAndManifest) {
  const Outcome outcome = phantom("set", "--count 2 --size 96 --field-mm 96 --seed 3 --stenosis-percent 60 --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json summary = parse_json(outcome.out, "stdout");
  EXPECT_EQ(summary, load_json(root / "set/phantoms.json"));
  EXPECT_EQ(summary["disclaimer"], kDisclaimer);
  EXPECT_EQ(summary["spacing_mm"], 1.0);
  EXPECT_EQ(summary["seed"], 3);
  EXPECT_EQ(summary["stenosis"], true);  // asking for a depth asks for stenoses
  EXPECT_EQ(files_of("set").size(), 7U);
  for (const char* id : {"0000", "0001"}) {
    const codec::DecodedImage picture = codec::read_image(root / "set/images" / concat(id, ".png"));
    EXPECT_EQ(picture.bit_depth, 8);
    EXPECT_EQ(picture.grey.height(), 96);
    const auto mask = codec::read_labels(root / "set/masks" / concat(id, ".png"));
    const auto vessel = std::count(mask.begin(), mask.end(), std::uint16_t{255});
    EXPECT_GT(vessel, 0);
    EXPECT_EQ(vessel + std::count(mask.begin(), mask.end(), std::uint16_t{0}), 96 * 96);
    const Json truth = load_json(root / "set/truth" / concat(id, ".json"));
    EXPECT_EQ(truth["disclaimer"], kDisclaimer);
    EXPECT_EQ(truth["spacing_mm"], Json({1.0, 1.0}));
    EXPECT_FALSE(truth["stenoses"].empty()) << id;
    for (const Json& stenosis : truth["stenoses"]) EXPECT_EQ(stenosis["percent"], 60.0);
  }
}

TEST_F(PhantomCommand, TheSameFilesWhateverTheThreadsAndALongerSetBeginsWithTheShorter) {
  ASSERT_EQ(phantom("one", "--count 4 --size 64 --threads 1").status, 0);
  ASSERT_EQ(phantom("two", "--count 4 --size 64 --threads 2").status, 0);
  ASSERT_EQ(phantom("more", "--count 5 --size 64 --threads 2").status, 0);
  ASSERT_EQ(phantom("other", "--count 4 --size 64 --seed 43").status, 0);
  const auto one = files_of("one");
  EXPECT_TRUE(one == files_of("two"));
  EXPECT_EQ(read_file(root / "more/images/0003.png"), read_file(root / "one/images/0003.png"));
  EXPECT_EQ(read_file(root / "more/truth/0003.json"), read_file(root / "one/truth/0003.json"));
  EXPECT_NE(read_file(root / "other/images/0000.png"), read_file(root / "one/images/0000.png"));
}

TEST_F(PhantomCommand, RefusesAFullFolderUnlessForced) {
  ASSERT_EQ(phantom("set", "--count 1 --size 64").status, 0);
  const auto first = files_of("set");
  const Outcome again = phantom("set", "--count 1 --size 64 --seed 9");
  EXPECT_EQ(again.status, 2);
  EXPECT_EQ(phantom("set", "--count 1 --size 64 --seed 9 --dry-run").status, 2);
  EXPECT_THAT(again.err, HasSubstr("--force"));
  EXPECT_TRUE(files_of("set") == first);
  EXPECT_EQ(phantom("set", "--count 1 --size 64 --seed 9 --force").status, 0);
  EXPECT_FALSE(files_of("set") == first);
}

TEST_F(PhantomCommand, AForcedSetReplacesALargerOneAndNothingElse) {
  ASSERT_EQ(phantom("set", "--count 4 --size 64").status, 0);
  for (const char* name : {"images/mine.png", "images/0009.png", "truth/3.json", "truth/notes.txt"}) {
    write_file_atomic(root / "set" / name, "kept");
  }
  ASSERT_EQ(phantom("set", "--count 2 --size 64 --seed 5 --force").status, 0);
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files_of("set")) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre("images/0000.png", "images/0001.png", "images/0009.png", "images/mine.png",
                                            "masks/0000.png", "masks/0001.png", "phantoms.json", "truth/0000.json",
                                            "truth/0001.json", "truth/3.json", "truth/notes.txt"));
  EXPECT_EQ(load_json(root / "set/phantoms.json")["count"], 2);
}

TEST_F(PhantomCommand, WarnsOfPhantomsWithoutTheStenosisThatWasAskedFor) {
  // A field in which no branch lies from end to end.
  const Outcome none = phantom("none", "--count 3 --size 64 --field-mm 20 --stenosis");
  EXPECT_EQ(none.status, 0);
  EXPECT_THAT(none.err, HasSubstr("3 of 3 phantoms have no stenosis"));
  EXPECT_EQ(phantom("plain", "--count 1 --size 64 --field-mm 20").err, "");
}

TEST_F(PhantomCommand, ADryRunWritesNothing) {
  const Outcome outcome = phantom("set", "--count 7 --size 64 --dry-run");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("would write 7"));
  EXPECT_THAT(outcome.out, HasSubstr(kDisclaimer));
  EXPECT_FALSE(fs::exists(root / "set"));
}

TEST_F(PhantomCommand, WrongFlagsAreUsageErrorsAndLeaveNoFolder) {
  for (const char* flags : {"", "--count 0", "--count 1 --size 63", "--count 1 --size 4096", "--count 1 --photons 0",
                            "--count 1 --field-mm nan", "--count 1 --stenosis-percent 100", "--count 1 --sizes 64"}) {
    const Outcome outcome = phantom("set", flags);
    EXPECT_EQ(outcome.status, 2) << flags;
    EXPECT_THAT(outcome.err, HasSubstr("cmunet: error:")) << flags;
    EXPECT_FALSE(fs::exists(root / "set")) << flags;
  }
}

}  // namespace
}  // namespace cmunet
