// SPDX-License-Identifier: Apache-2.0
// From DICOM runs to a store: which frames, which groups, and nothing of the patient.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dataset/import.h"
#include "cmunet/dataset/prepare.h"
#include "cmunet/dicom/made_run.h"

namespace cmunet::dataset {
namespace {

namespace fs = std::filesystem;

// A run in which a dark tube is filled from frame 10 to 19 of 30.
dicom::MadeRun run_of(const std::string& patient, int number) {
  dicom::MadeRun made;
  made.frames = 30;
  made.height = made.width = 64;
  made.cell = [number](int f, int y, int x, int) {
    const bool is_filled = f >= 10 && f < 20 && std::abs(y - 20 - 5 * number - x / 4) < 3;
    return (is_filled ? 90 : 180) + (x * 7 + y * 13 + number * 3) % 5;
  };
  made.attributes = {"PatientID=" + patient, "PatientName=Secret^" + patient, concat("SOPInstanceUID=1.2.3.", number),
                     concat("SeriesInstanceUID=1.2.4.", number),
                     "StudyInstanceUID=1.2.5." + std::to_string(patient.size())};
  return made;
}

class ImportDicom : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder / "Secret_archive");
    dicom::write_run(run_of("ALPHA", 1), folder / "Secret_archive/1");
    dicom::write_run(run_of("ALPHA", 2), folder / "Secret_archive/2");
    dicom::write_run(run_of("BRAVOO", 3), folder / "Secret_archive/3");
    write_file_atomic(folder / "Secret_archive/notes.txt", "no DICOM");
  }
  ScratchFolder folder;
};

TEST_F(ImportDicom, FilledFramesOfEachRunGroupedByPatient) {
  const std::vector<Item> items = import_dicom(folder.path(), 3, std::nullopt);
  ASSERT_EQ(items.size(), 9U);
  std::set<std::string> groups;
  for (const Item& item : items) {
    groups.insert(item.group);
    EXPECT_GE(*item.frame, 8) << item.id;
    EXPECT_LT(*item.frame, 22) << item.id;
  }
  EXPECT_THAT(groups, testing::ElementsAre("p1", "p2"));
  EXPECT_EQ(items[0].id.find("p1_s1_r1_i1_f"), 0U);
}

TEST_F(ImportDicom, TheStoreSaysNothingOfThePatient) {
  PrepareRequest request;
  request.items = import_dicom(folder.path(), 2, std::nullopt);
  request.preprocessing.size = 32;
  request.rule = parse_split_rule("train=0.5,test=0.5");
  request.drop_duplicates = true;
  fs::create_directories(folder / "store");
  prepare_store(request, folder / "store");
  const Store store = Store::open(folder / "store");
  EXPECT_GE(store.records().size(), 4U);
  std::map<std::string, Split> split_of;
  for (const Record& record : store.records()) {
    EXPECT_EQ(split_of.emplace(record.group, record.split).first->second, record.split);
  }
  const std::string manifest = read_file(folder / "store/manifest.json");
  for (const char* secret : {"ALPHA", "BRAVO", "Secret", "1.2.3.", "1.2.4.", "1.2.5."}) {
    EXPECT_EQ(manifest.find(secret), std::string::npos) << secret;
  }
}

TEST_F(ImportDicom, RunsThatCannotBeReadAreLeftOutWithAWarning) {
  dicom::MadeRun broken = run_of("CHARLIE", 4);
  broken.attributes.emplace_back("BitsAllocated=32");
  dicom::write_run(broken, folder / "Secret_archive/4");
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  EXPECT_EQ(import_dicom(folder.path(), 1, Split::kPretrain).size(), 3U);
  set_log_sink({});
  EXPECT_THAT(warnings, testing::ElementsAre(testing::HasSubstr("Bits")));
  fs::create_directories(folder / "empty");
  EXPECT_THROW(import_dicom(folder / "empty", 1, std::nullopt), Error);
}

TEST_F(ImportDicom, WhatAShutterCoversBecomesTheMeanOfTheRest) {
  dicom::MadeRun made = run_of("DELTA", 5);
  made.attributes.insert(made.attributes.end(),
                         {"ShutterShape=RECTANGULAR", "ShutterLeftVerticalEdge=11", "ShutterRightVerticalEdge=64",
                          "ShutterUpperHorizontalEdge=1", "ShutterLowerHorizontalEdge=64"});
  made.cell = [](int, int, int x, int) { return x < 10 ? 255 : 100; };
  dicom::write_run(made, folder / "shuttered.dcm");
  Item item;
  item.image = folder / "shuttered.dcm";
  item.frame = 0;
  preprocess::Options options;
  options.size = 64;
  options.normalise = preprocess::Normalise::kNone;
  for (const float v : prepare_item(item, options).image) ASSERT_NEAR(static_cast<double>(v), 100, 1e-3);
}

TEST(ChooseFrames, SpreadOverTheFilledOnesWithTheBest) {
  vessel::Opacification filling;
  filling.fills = true;
  filling.best_frame = 5;
  filling.smoothed = {0, 0, 1, 5, 8, 10, 9, 7, 6, 5, 2, 1};
  EXPECT_THAT(choose_frames(filling, 3), testing::ElementsAre(5, 6, 8));
  EXPECT_THAT(choose_frames(filling, 1), testing::ElementsAre(5));
  EXPECT_THAT(choose_frames(filling, 20), testing::ElementsAre(3, 4, 5, 6, 7, 8, 9));
  filling.fills = false;
  EXPECT_THAT(choose_frames(filling, 4), testing::ElementsAre(5, 7, 9, 11));
}

}  // namespace
}  // namespace cmunet::dataset
