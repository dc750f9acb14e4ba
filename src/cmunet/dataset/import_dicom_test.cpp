// SPDX-License-Identifier: Apache-2.0
// From DICOM runs to a store: which frames, which groups, and nothing of the patient.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cmunet/base/file.h"
#include "cmunet/base/log.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/codec/codec.h"
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
  // As prepared at 64 px, not normalised.
  image::ImageF first_frame_of(const dicom::MadeRun& made) const {
    dicom::write_run(made, folder / "made.dcm");
    Item item;
    item.image = folder / "made.dcm";
    item.frame = 0;
    preprocess::Options options;
    options.size = 64;
    options.normalise = preprocess::Normalise::kNone;
    return prepare_item(item, options).image;
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

TEST_F(ImportDicom, TheDetectorsSpacingIsNotThePatients) {
  dicom::MadeRun made = run_of("GOLF", 8);
  fs::create_directories(folder / "one");
  const auto spacing = [&](const std::vector<std::string>& attributes) {
    made.attributes.insert(made.attributes.end(), attributes.begin(), attributes.end());
    dicom::write_run(made, folder / "one/run.dcm");
    return import_dicom(folder / "one", 1, Split::kPretrain).at(0).spacing_mm;
  };
  EXPECT_FALSE(spacing({"PixelSpacing=0.3\\0.24"}).has_value());  // in which plane, it does not say
  EXPECT_FALSE(spacing({"ImagerPixelSpacing=0.3\\0.24"}).has_value());
  const auto in_patient = spacing({"EstimatedRadiographicMagnificationFactor=1.5"});
  ASSERT_TRUE(in_patient.has_value());
  EXPECT_NEAR(in_patient->row_mm, 0.2, 1e-9);
  EXPECT_NEAR(in_patient->col_mm, 0.16, 1e-9);
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
  for (const float v : first_frame_of(made)) ASSERT_NEAR(static_cast<double>(v), 100, 1e-3);
}

// Where the dark part of a prepared item lies.
struct Extent {
  int top = 1 << 30, bottom = -1, left = 1 << 30, right = -1;
  double y() const { return (top + bottom) / 2.0; }
  double x() const { return (left + right) / 2.0; }
};
template <typename T, typename IsPart>
Extent extent_of(const image::Image<T>& image, const IsPart& is_part) {
  Extent e;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      if (!is_part(image.at(y, x))) continue;
      e.top = std::min(e.top, y), e.bottom = std::max(e.bottom, y);
      e.left = std::min(e.left, x), e.right = std::max(e.right, x);
    }
  }
  return e;
}
bool is_dark(float grey) { return grey < 100; }

TEST_F(ImportDicom, PixelsThatAreNotSquareAreMadeSo) {
  // Rows are twice as far apart as columns: a disc of 24 columns is 12 rows high, around row 20 and column 70.
  dicom::MadeRun made = run_of("ECHO", 6);
  made.frames = 1;
  made.height = 48, made.width = 128;
  made.cell = [](int, int y, int x, int) { return std::hypot(2 * (y - 20), x - 70) <= 24 ? 40 : 180; };
  made.attributes.emplace_back("PixelAspectRatio=2\\1");
  const fs::path file = folder / "oblong/run.dcm";
  fs::create_directories(file.parent_path());
  dicom::write_run(made, file);
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  const std::vector<Item> items = import_dicom(file.parent_path(), 1, Split::kPretrain);
  set_log_sink({});
  EXPECT_THAT(warnings, testing::IsEmpty());
  ASSERT_EQ(items.size(), 1U);
  preprocess::Options options;
  options.size = 96;
  options.normalise = preprocess::Normalise::kNone;
  const PreparedItem prepared = prepare_item(items[0], options);
  const Extent disc = extent_of(prepared.image, is_dark);
  EXPECT_NEAR(disc.bottom - disc.top, disc.right - disc.left, 1);
  EXPECT_NEAR(disc.right - disc.left + 1, 49 * 96.0 / 128, 1.5);
  // And back to the file's own rows and columns.
  EXPECT_EQ(prepared.source_height, 48);
  EXPECT_EQ(prepared.source_width, 128);
  const preprocess::GridMap& map = prepared.map;
  EXPECT_EQ(map.source_height, 96);
  const auto back = [](double at, int grid, int crop, int start, int square, int source) {
    return ((at + 0.5) * crop / grid + start) * source / square - 0.5;
  };
  EXPECT_NEAR(back(disc.y(), map.height, map.crop_height, map.crop_top, map.source_height, 48), 20, 0.4);
  EXPECT_NEAR(back(disc.x(), map.width, map.crop_width, map.crop_left, map.source_width, 128), 70, 0.7);
}

TEST_F(ImportDicom, PicturesOfKnownSpacingAndTheirMasksToo) {
  image::Image<std::uint8_t> picture(60, 20, 200), mask(60, 20);
  for (int y = 10; y < 40; ++y) {
    for (int x = 5; x < 15; ++x) picture.at(y, x) = 20, mask.at(y, x) = 255;
  }
  codec::write_png(folder / "picture.png", picture);
  codec::write_png(folder / "mask.png", mask);
  Item item;
  item.image = folder / "picture.png";
  item.mask = folder / "mask.png";
  item.spacing_mm = image::Spacing{0.1, 0.3};
  preprocess::Options options;
  options.size = 60;
  options.normalise = preprocess::Normalise::kNone;
  const PreparedItem prepared = prepare_item(item, options);
  EXPECT_EQ(prepared.map.source_width, 60);
  EXPECT_NEAR(prepared.image.spacing_mm->row_mm, 0.1, 1e-9);
  EXPECT_NEAR(prepared.image.spacing_mm->col_mm, 0.1, 1e-9);
  const Extent dark = extent_of(prepared.image, is_dark);
  const Extent vessel = extent_of(prepared.mask, [](std::uint8_t v) { return v != 0; });
  EXPECT_EQ(vessel.right - vessel.left + 1, 30);
  EXPECT_EQ(vessel.bottom - vessel.top + 1, 30);
  EXPECT_NEAR(dark.y(), vessel.y(), 1);
  EXPECT_NEAR(dark.x(), vessel.x(), 1);
}

TEST_F(ImportDicom, LogarithmicRunsBecomeIntensities) {
  dicom::MadeRun made = run_of("FOXTROT", 7);
  made.cell = [](int, int, int x, int) { return x < 32 ? 128 : 255; };
  made.attributes.emplace_back("PixelIntensityRelationship=LOG");
  const image::ImageF image = first_frame_of(made);
  EXPECT_NEAR(static_cast<double>(image.at(10, 50)), 255, 0.1);
  EXPECT_NEAR(static_cast<double>(image.at(10, 10)), 255 * (std::exp(3.5 * 128 / 255) - 1) / (std::exp(3.5) - 1), 0.1);
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
