// SPDX-License-Identifier: Apache-2.0
// The built program: `cmunet anonymize`, and where else a patient's name could come out again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/json.h"
#include "cmunet/base/version.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/xa.h"
#include "run_program.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Twenty identifiers at the places where devices and people put them; UIDs of study, series and instance lead to the
// patient, too.
const std::vector<std::string> kPlanted{
    "PatientName=Quibble01^Zebedee",
    "PatientID=Quibble02",
    "OtherPatientIDsSequence[0].PatientID=Quibble03",
    "PatientAddress=Quibble04 Lane",
    "PatientComments=Quibble05 keeps parrots",
    "AccessionNumber=Quibble06",
    "ReferringPhysicianName=Quibble07^Greta",
    "InstitutionName=Quibble08 Hospital",
    "StationName=Quibble09",
    "StudyDescription=Quibble10 again",
    "SeriesDescription=Quibble11 left",
    "OperatorsName=Quibble12^Ivo",
    "DeviceSerialNumber=Quibble13",
    "ImageComments=seen Quibble14",
    "StudyID=Quibble15",
    "RequestAttributesSequence[0].RequestedProcedureID=Quibble16",
    "SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeMeaning=Quibble17",
    "(0029,0010)=Quibble18",
    "(6000,4000)=Quibble19",
    "LossyImageCompressionMethod=Quibble20",
    "LossyImageCompression=01",
    "StudyInstanceUID=1.2.777.20.8841.19370415",
    "SeriesInstanceUID=1.2.777.20.8841.19370415.4"};
constexpr const char* kParts[] = {"Quibble", "quibble01", "1.2.777.20.8841", "19370415"};

class Anonymize : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(::testing::TempDir()) / concat("cmunet_anonymize_", test->name());
    fs::remove_all(root);
    fs::create_directories(root / "in/Quibble_Zebedee");
    write(root / "in/Quibble_Zebedee/quibble01.dcm", "BurnedInAnnotation=NO", "1.2.840.10008.1.2.4.70");
    write(root / "in/2", "ContentDate=20200102", "1.2.840.10008.1.2");
  }
  void TearDown() override { fs::remove_all(root); }

  void write(const fs::path& file, const std::string& attribute, const std::string& syntax) {
    dicom::MadeRun made;
    made.syntax = syntax;
    made.frames = 3, made.height = made.width = 64;
    made.attributes = kPlanted;
    made.attributes.push_back(concat("SOPInstanceUID=1.2.777.20.8841.", ++instances));
    made.attributes.push_back(attribute);
    dicom::write_run(made, file);
  }
  Outcome run(const std::string& arguments) const { return run_program(CMUNET_PROGRAM, arguments, root); }
  // The names and the contents of all files of a folder.
  static std::string all_of(const fs::path& folder) {
    std::string all;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      all += fs::relative(entry.path(), folder).string() + "\n";
      if (entry.is_regular_file()) all += read_file(entry.path());
    }
    return all;
  }
  static void expect_nobody(const std::string& text, const std::string& what) {
    for (const char* part : kParts) EXPECT_EQ(text.find(part), std::string::npos) << part << " in " << what;
  }

  fs::path root;
  int instances = 0;
};

TEST_F(Anonymize, CopiesAFolderAndNamesNobody) {
  const Outcome outcome = run(concat("anonymize --json ", root / "in", " ", root / "out"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document.at("written"), 2);
  EXPECT_EQ(document.at("left_out"), 0);
  EXPECT_EQ(document.at("may_have_text"), 1);
  EXPECT_EQ(document.at("disclaimer"), kDisclaimer);
  expect_nobody(all_of(root / "out"), "the copies");
  expect_nobody(outcome.out + outcome.err, "what is printed");
  EXPECT_EQ(dicom::XaRun(root / "out/run_00001.dcm").frame(1), dicom::XaRun(root / "in/2").frame(1));
}

TEST_F(Anonymize, SaysByItsStatusThatRunsWereLeftOut) {
  write(root / "in/3", "BurnedInAnnotation=YES", "1.2.840.10008.1.2.1");
  const Outcome partial = run(concat("anonymize --json ", root / "in", " ", root / "out"));
  EXPECT_EQ(partial.status, 3);
  const Json document = Json::parse(partial.out);  // one document, no error after it
  EXPECT_EQ(document.at("written"), 2);
  EXPECT_EQ(document.at("left_out"), 1);
  EXPECT_EQ(document.at("left_out_because"), Json({"unsupported"}));
  EXPECT_THAT(partial.err, HasSubstr("text is burned into the pixels"));
  EXPECT_THAT(partial.err, HasSubstr("cmunet: error: [anonymize] 1 of 3 runs were left out"));
  EXPECT_EQ(run(concat("anonymize --quiet --force --allow-burned-in ", root / "in", " ", root / "out")).status, 0);
  EXPECT_EQ(run(concat("anonymize ", root / "in/3", " ", root / "three.dcm")).status, 3);
  EXPECT_FALSE(fs::exists(root / "three.dcm"));
  for (const char* flag : {"", "--dry-run "}) {
    EXPECT_EQ(run(concat("anonymize ", flag, root / "in", " ", root / "out")).status, 2) << flag << "not empty";
  }
}

TEST_F(Anonymize, StoresNameNobodyEither) {
  const Outcome prepared = run(concat("prepare --split pretrain --dicom ", root / "in", " --out ", root / "store"));
  ASSERT_EQ(prepared.status, 0) << prepared.err;
  expect_nobody(all_of(root / "store"), "the store");
  expect_nobody(prepared.out + prepared.err, "what prepare prints");
}

TEST_F(Anonymize, PredictionsNameNobodyUnlessAsked) {
  write(root / "in/1.2.777.20.8841.19370415.9", "BurnedInAnnotation=NO", "1.2.840.10008.1.2.1");
  const std::string predict = concat("predict --json --threads 2 --frames 1 --overlay --probabilities ", root / "in");
  const Outcome predicted = run(concat(predict, " --out ", root / "masks"));
  ASSERT_EQ(predicted.status, 0) << predicted.err;
  expect_nobody(all_of(root / "masks"), "masks and report");
  expect_nobody(predicted.out + predicted.err, "what predict prints");
  std::vector<std::string> names;
  const Json anonymous = load_json(root / "masks/predictions.json");
  for (const Json& row : anonymous["runs"]) names.push_back(row["run"]);
  EXPECT_THAT(names, ElementsAre("run_00001", "2", "run_00003"));
  // One that cannot be read is named on the terminal alone.
  write(root / "in/Quibble_Zebedee/quibble01.dcm", "BitsAllocated=32", "1.2.840.10008.1.2.1");
  const Outcome partial = run(concat(predict, " --out ", root / "partial"));
  EXPECT_EQ(partial.status, 3);
  EXPECT_THAT(all_of(root / "partial"), HasSubstr("Bits Allocated is 32"));
  expect_nobody(all_of(root / "partial"), "masks and report of what can be read");
  EXPECT_THAT(partial.err, HasSubstr("quibble01.dcm"));

  const Outcome asked = run(concat(predict, " --identify --out ", root / "identified"));
  EXPECT_EQ(asked.status, 3) << asked.err;
  const Json identified = load_json(root / "identified/predictions.json");
  EXPECT_EQ(identified["runs"][0]["run"], "1.2.777.20.8841.19370415.9");
  EXPECT_EQ(identified["runs"][0]["sop_instance_uid"], "1.2.777.20.8841.3");
  EXPECT_EQ(identified["runs"][1]["path"], (root / "in/2").string());
  EXPECT_TRUE(fs::exists(root / "identified/1.2.777.20.8841.19370415.9_frame001.png"));
}

TEST_F(Anonymize, MeasurementsNameNobodyUnlessAsked) {
  const std::string measure = concat("measure --json --frame 1 ", root / "in/Quibble_Zebedee/quibble01.dcm");
  const Outcome measured = run(concat(measure, " --out ", root / "measured"));
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_EQ(load_json(root / "measured/measurements.json")["source"]["image"], "run");
  expect_nobody(all_of(root / "measured"), "measurements and page");
  expect_nobody(measured.out + measured.err, "what measure prints");
  const Outcome asked = run(concat(measure, " --identify --out ", root / "identified"));
  ASSERT_EQ(asked.status, 0) << asked.err;
  EXPECT_EQ(load_json(root / "identified/measurements.json")["source"]["sop_instance_uid"], "1.2.777.20.8841.1");
  EXPECT_THAT(all_of(root / "identified"), HasSubstr("quibble01"));
}

TEST_F(Anonymize, WhatIsPlantedIsThereToBeFound) {
  const std::string planted = all_of(root / "in");
  for (const std::string& assignment : kPlanted) {
    EXPECT_THAT(planted, HasSubstr(assignment.substr(assignment.find('=') + 1))) << assignment;
  }
}

}  // namespace
}  // namespace cmunet
