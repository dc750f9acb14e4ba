// SPDX-License-Identifier: Apache-2.0
// The built program: `cmunet predict` on DICOM runs, with the model that comes with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/version.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/result_test_support.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/xa.h"
#include "run_program.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kSide = 128;

// A dark vessel that fills between frames 8 and 12 and stays: an arc, which no flip or turn leaves as it is.
int cell(int frame, int y, int x) {
  const double filling = std::clamp((frame - 8) / 4.0, 0.0, 1.0);
  const double off = std::abs(std::hypot(y - 10.0, x - 40.0) - 70);
  const double vessel = y > 10 && x > 40 && off < 4 ? std::sqrt(1 - off * off / 16) : 0.0;
  const int texture = (y * 7 + x * 13 + frame * 29) % 5;
  return static_cast<int>(150 - 80 * filling * vessel) + texture;
}

class PredictRun : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(::testing::TempDir()) / concat("cmunet_predict_run_", test->name());
    fs::remove_all(root);
    fs::create_directories(root / "cd/one");
    fs::create_directories(root / "cd/two");
  }
  void TearDown() override { fs::remove_all(root); }

  void write_run(const std::string& file, int frames, std::vector<std::string> attributes = {}) const {
    dicom::MadeRun run;
    run.frames = frames, run.height = run.width = kSide;
    run.cell = [](int frame, int y, int x, int) { return cell(frame, y, x); };
    run.attributes = std::move(attributes);
    dicom::write_run(run, root / file);
  }

  Outcome predict(const std::string& arguments) const {
    return run_program(CMUNET_PROGRAM, concat("predict --threads 2 --out ", root / "out", " ", arguments), root);
  }

  Json predictions() const { return load_json(root / "out/predictions.json"); }

  image::Mask mask_of(const std::string& png) const {
    const image::ImageF grey = codec::read_image(root / "out" / png).grey;
    image::Mask mask(grey.height(), grey.width());
    std::transform(grey.begin(), grey.end(), mask.begin(), [](float v) { return v > 0 ? 1 : 0; });
    return mask;
  }

  fs::path root;
};

TEST_F(PredictRun, SegmentsTheFrameInWhichTheVesselIsFilled) {
  write_run("run.dcm", 20);
  const Outcome outcome = predict(concat("--overlay --dicom-seg --dicom-sc ", root / "run.dcm"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json document = predictions();
  EXPECT_EQ(document["disclaimer"], kDisclaimer);
  const Json& run = document["runs"][0];
  EXPECT_EQ(run["frames"], 20);
  EXPECT_EQ(run["opacification"]["fills"], true);
  ASSERT_EQ(run["opacification"]["score"].size(), 20U);
  const int best = run["opacification"]["best_frame"];
  EXPECT_GE(best, 13);
  ASSERT_EQ(run["segmented"].size(), 1U);
  EXPECT_EQ(run["segmented"][0]["frame"], best);
  const std::string stem = concat("run_frame0", best);
  for (const char* ending : {".png", "_overlay.png", "_sc.dcm"})
    EXPECT_TRUE(fs::exists(root / "out" / (stem + ending)));
  const dicom::SegmentationContent seg = dicom::read_segmentation(root / "out/run_seg.dcm");
  EXPECT_THAT(seg.source_frames, ElementsAre(best - 1));
  EXPECT_EQ(seg.mask(0), mask_of(stem + ".png"));
  EXPECT_EQ(seg.source_sop_instance_uid, dicom::XaRun(root / "run.dcm").header().source.sop_instance_uid);
  // A place on the arc is vessel; its mirror images are not.
  EXPECT_EQ(seg.mask(0).at(50, 97), 1);
  for (const auto& [y, x] : {std::pair{50, 127 - 97}, {127 - 50, 97}, {127 - 50, 127 - 97}}) {
    EXPECT_EQ(seg.mask(0).at(y, x), 0) << y << ' ' << x;
  }
}

TEST_F(PredictRun, SegmentsAllFramesOrOne) {
  write_run("run.dcm", 12);
  ASSERT_EQ(predict(concat("--frames all --dicom-seg ", root / "run.dcm")).status, 0);
  EXPECT_EQ(predictions()["runs"][0]["segmented"].size(), 12U);
  const dicom::SegmentationContent all = dicom::read_segmentation(root / "out/run_seg.dcm");
  ASSERT_EQ(all.source_frames.size(), 12U);
  for (const int frame : {0, 5, 11}) {
    EXPECT_EQ(all.source_frames[static_cast<std::size_t>(frame)], frame);
    EXPECT_EQ(all.mask(static_cast<std::size_t>(frame)),
              mask_of(concat("run_frame0", frame < 9 ? "0" : "", frame + 1, ".png")));
  }
  ASSERT_EQ(predict(concat("--force --frames 12 --dicom-seg ", root / "run.dcm")).status, 0);
  const dicom::SegmentationContent one = dicom::read_segmentation(root / "out/run_seg.dcm");
  EXPECT_THAT(one.source_frames, ElementsAre(11));
  EXPECT_EQ(one.mask(0), all.mask(11));
}

TEST_F(PredictRun, ReportsDiametersInMillimetresOnlyWhenCalibrated) {
  if (!dicom::has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  write_run("run.dcm", 12, {"ImagerPixelSpacing=0.4\\0.4", "EstimatedRadiographicMagnificationFactor=1.6"});
  ASSERT_EQ(predict(concat("--frames 12 --dicom-sr ", root / "run.dcm")).status, 0);
  const std::string calibrated = dicom::run_python("read_report.py", root / "out/run_frame012_sr.dcm");
  EXPECT_THAT(calibrated, HasSubstr("template 3213"));
  EXPECT_THAT(calibrated, HasSubstr("frame 12\n"));
  EXPECT_THAT(calibrated, HasSubstr("Calibration Method = Geometric Isocenter\n"));
  EXPECT_THAT(calibrated, HasSubstr("Horizontal Pixel Spacing = 0.25 mm/{pixel}\n"));
  const auto mean_diameter = [](const std::string& report) {
    const std::size_t end = report.find("\n      Derivation = Mean");
    const std::size_t begin = report.rfind("Vessel lumen diameter = ", end);
    return std::stod(report.substr(begin + 24, end - begin - 24));
  };
  EXPECT_NEAR(mean_diameter(calibrated), 8 * 0.25, 0.15);  // the arc is 8 px wide
  const std::string measure = concat("measure --threads 2 --frame 12 --out ", root / "measured", " ", root / "run.dcm");
  ASSERT_EQ(run_program(CMUNET_PROGRAM, measure, root).status, 0);
  const Json segment = load_json(root / "measured/measurements.json")["segments"][0];
  EXPECT_NEAR(mean_diameter(calibrated), segment["mean_diameter"]["mm"]["value"].get<double>(), 1e-3);
  // The walls are the picture's, wherever the mask is cut.
  ASSERT_EQ(predict(concat("--force --threshold 0.9 --frames 12 --dicom-sr ", root / "run.dcm")).status, 0);
  const std::string tighter = dicom::run_python("read_report.py", root / "out/run_frame012_sr.dcm");
  EXPECT_NEAR(mean_diameter(tighter), 8 * 0.25, 0.15);
  write_run("run.dcm", 12, {"ImagerPixelSpacing=0.4\\0.4"});
  ASSERT_EQ(predict(concat("--force --frames 12 --dicom-sr ", root / "run.dcm")).status, 0);
  const std::string uncalibrated = dicom::run_python("read_report.py", root / "out/run_frame012_sr.dcm");
  EXPECT_THAT(uncalibrated, HasSubstr("template none"));
  EXPECT_THAT(uncalibrated, Not(HasSubstr(" mm")));
  EXPECT_NEAR(mean_diameter(uncalibrated), mean_diameter(calibrated) / 0.25, 1e-3);
}

TEST_F(PredictRun, FindsNothingBehindAShutter) {
  write_run("run.dcm", 12,
            {"ShutterShape=RECTANGULAR", "ShutterLeftVerticalEdge=70", "ShutterRightVerticalEdge=128",
             "ShutterUpperHorizontalEdge=1", "ShutterLowerHorizontalEdge=128"});
  ASSERT_EQ(predict(concat("--frames 12 ", root / "run.dcm")).status, 0);
  const image::Mask mask = mask_of("run_frame012.png");
  int inside = 0, outside = 0;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) (x >= 69 ? inside : outside) += mask.at(y, x);
  }
  EXPECT_GT(inside, 50);
  EXPECT_EQ(outside, 0);
}

TEST_F(PredictRun, TakesFoldersOfRunsAndImagesWithoutMixingThemUp) {
  write_run("cd/one/IM1", 1);
  write_run("cd/two/IM1", 3);
  codec::write_png(root / "cd/picture.png", image::Image<std::uint8_t>(64, 64, 90));
  const Outcome outcome = predict(concat("--json --frames 3 ", root / "cd"));
  EXPECT_EQ(outcome.status, 3);  // one has no frame 3; the others were done
  EXPECT_THAT(outcome.err, HasSubstr("cmunet: error: [predict] 1 of 3 inputs were skipped"));
  const Json document = predictions();
  EXPECT_EQ(Json::parse(outcome.out), document);  // one document, no error after it
  ASSERT_EQ(document["images"].size(), 1U);
  EXPECT_EQ(document["images"][0]["image"], "picture.png");  // folders are named after patients
  EXPECT_EQ(document["runs"].size(), 1U);
  ASSERT_EQ(document["failed"].size(), 1U);
  EXPECT_THAT(document["failed"][0]["error"].get<std::string>(), HasSubstr("frame 3 of a run of 1"));
  ASSERT_EQ(predict(concat("--force ", root / "cd")).status, 0);
  std::vector<std::string> masks;
  const Json again = predictions();
  for (const Json& run : again["runs"])
    masks.push_back(fs::path(run["segmented"][0]["mask"].get<std::string>()).filename());
  EXPECT_THAT(masks, ::testing::UnorderedElementsAre(testing::StartsWith("IM1"), testing::StartsWith("IM1")));
  EXPECT_NE(masks[0], masks[1]);
}

TEST_F(PredictRun, ADryRunCarriesTheDisclaimerToo) {
  write_run("run.dcm", 1);
  const Outcome outcome = predict(concat("--dry-run ", root / "run.dcm"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(kDisclaimer));
}

TEST_F(PredictRun, NamesNoFolderOfAPictureUnlessAsked) {
  fs::create_directories(root / "Quibble");
  codec::write_png(root / "Quibble/picture.png", image::Image<std::uint8_t>(64, 64, 90));
  write_file_atomic(root / "Quibble/broken.png", "no picture");
  EXPECT_EQ(predict(concat(root / "Quibble")).status, 3);
  EXPECT_THAT(predictions().dump(), Not(HasSubstr("Quibble")));
  EXPECT_EQ(predictions()["failed"][0]["image"], "broken.png");
  EXPECT_EQ(predict(concat("--force --identify ", root / "Quibble")).status, 3);
  EXPECT_EQ(predictions()["images"][0]["image"], (root / "Quibble/picture.png").string());
  EXPECT_EQ(predictions()["failed"][0]["image"], (root / "Quibble/broken.png").string());
}

TEST_F(PredictRun, WarnsOfWhatIsNoAngiogramAndPassesOverItsOwnOverlays) {
  write_run("cd/one/ct.dcm", 1, {"Modality=CT", "SOPClassUID=1.2.840.10008.5.1.4.1.1.7"});
  const Outcome outcome = predict(concat("--dicom-sc ", root / "cd"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ct: its modality is CT"));
  EXPECT_THAT(predictions()["runs"][0]["oddities"].dump(), HasSubstr("modality is CT"));
  fs::path overlay;
  for (const auto& entry : fs::directory_iterator(root / "out")) {
    if (entry.path().extension() == ".dcm") overlay = entry.path();
  }
  ASSERT_FALSE(overlay.empty());
  fs::copy_file(overlay, root / "cd/two/overlay.dcm");
  EXPECT_EQ(predict(concat("--force ", root / "cd")).status, 0);
  EXPECT_EQ(predictions()["runs"].size(), 1U);
  const Outcome refused = predict(concat("--force ", root / "cd/two/overlay.dcm"));
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.err, HasSubstr("on which cmunet drew"));
}

TEST_F(PredictRun, NoPictureOverwritesAnInputOrAnotherPicture) {
  const image::Image<std::uint8_t> grey(kSide, kSide, 120);
  fs::create_directories(root / "out");
  codec::write_png(root / "out/a.png", grey);
  codec::write_png(root / "a.png", grey);
  codec::write_png(root / "a_overlay.png", grey);
  const std::string before = read_file(root / "out/a.png");
  fs::create_symlink(root / "out", root / "link");
  for (const char* input : {"out", "out/a.png", "link/a.png"}) {
    const Outcome onto_input = predict(concat("--force ", root / input));
    EXPECT_EQ(onto_input.status, 2) << input;
    EXPECT_THAT(onto_input.err, HasSubstr("would overwrite the input")) << input;
  }
  EXPECT_EQ(read_file(root / "out/a.png"), before);
  const std::string both = concat("--force ", root / "a.png", " ", root / "a_overlay.png");
  const Outcome onto_another = predict("--overlay " + both);
  EXPECT_EQ(onto_another.status, 2);
  EXPECT_THAT(onto_another.err, HasSubstr("would both be named a_overlay.png"));
  EXPECT_EQ(predict(concat("--force ", root / "a.png", " ", root / "out/a.png")).status, 2);
  EXPECT_EQ(read_file(root / "out/a.png"), before);
  EXPECT_EQ(predict(both).status, 0);  // their masks have two names
}

TEST_F(PredictRun, ARunIsNotNamedLikeAPictureOrAnotherRunsFrame) {
  for (const char* name : {"cd/one/a_overlay", "cd/one/b", "cd/one/b_frame001"}) write_run(name, 1);
  write_run("cd/two/c", 2);
  for (const char* name : {"a.png", "c_frame001.png"}) {
    codec::write_png(root / name, image::Image<std::uint8_t>(kSide, kSide, 120));
  }
  const Outcome outcome =
      predict(concat("--overlay --frames 1 ", root / "cd", " ", root / "a.png", " ", root / "c_frame001.png"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::string> files;
  const Json document = predictions();
  for (const char* kind : {"mask", "overlay"}) {
    for (const Json& image : document["images"]) files.push_back(image[kind].get<std::string>());
    for (const Json& run : document["runs"]) files.push_back(run["segmented"][0][kind].get<std::string>());
  }
  EXPECT_THAT(files, ::testing::IsSupersetOf({"a.png", "a_overlay.png", "c_frame001.png", "a_overlay_2.png", "b.png",
                                              "b_frame001_2.png", "c_2_frame001.png"}));
  std::ranges::sort(files);
  EXPECT_EQ(files.size(), 12U);
  EXPECT_TRUE(std::ranges::adjacent_find(files) == files.end());
}

TEST_F(PredictRun, SkipsAFileWhoseReadingFails) {
  // The kernel says that it has 4096 bytes and gives fewer, to everybody: unlike permissions, which root does not need.
  const fs::path unreadable = "/sys/devices/system/cpu/online";
  if (!fs::exists(unreadable) || fs::file_size(unreadable) != 4096) GTEST_SKIP() << unreadable << " is not here";
  fs::create_symlink(unreadable, root / "cd/a.png");
  codec::write_png(root / "cd/b.png", image::Image<std::uint8_t>(64, 64, 90));
  const Outcome outcome = predict(concat(root / "cd"));
  EXPECT_EQ(outcome.status, 3);
  const Json document = predictions();
  EXPECT_EQ(document["images"].size(), 1U);
  ASSERT_EQ(document["failed"].size(), 1U);
  EXPECT_THAT(document["failed"][0]["error"].get<std::string>(), HasSubstr("of 4096 bytes"));
  EXPECT_TRUE(fs::exists(root / "out/b.png"));
}

TEST_F(PredictRun, RefusesWhatMakesNoSense) {
  write_run("run.dcm", 3);
  codec::write_png(root / "picture.png", image::Image<std::uint8_t>(64, 64, 90));
  EXPECT_EQ(predict(concat("--frames last ", root / "run.dcm")).status, 2);
  EXPECT_EQ(predict(concat("--frames 0 ", root / "run.dcm")).status, 2);
  EXPECT_EQ(predict(concat("--dicom-seg ", root / "picture.png")).status, 2);
  EXPECT_FALSE(fs::exists(root / "out"));
  write_file_atomic(root / "cd/notes.txt", "in the way");
  const Outcome occupied =
      run_program(CMUNET_PROGRAM, concat("predict --dry-run --out ", root / "cd", " ", root / "picture.png"), root);
  EXPECT_EQ(occupied.status, 2) << "its folder is not empty";
}

TEST_F(PredictRun, FindsTheFilledArteryOfARealCine) {
  const fs::path cine = fs::path(CMUNET_SHARED_DATA) / "dicom_xa/rubo/rubo_0002_xa_96f_jpegbaseline.dcm";
  if (!fs::exists(cine)) GTEST_SKIP() << cine << " is not here";
  const Outcome outcome = predict(concat("--dicom-seg --dicom-sr --json ", cine));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json document = predictions();
  const Json& run = document["runs"][0];
  EXPECT_EQ(run["opacification"]["fills"], true);
  EXPECT_EQ(run["view"], "RAO 32, cranial 2");
  EXPECT_EQ(run["segmented"][0]["time_ms"], 33 * (run["segmented"][0]["frame"].get<int>() - 1));
  // The catheter stands empty for 16 frames, the tree is full from about frame 46 on.
  EXPECT_GE(run["opacification"]["best_frame"], 46);
  const double best = run["opacification"]["smoothed"][run["opacification"]["best_frame"].get<std::size_t>() - 1];
  for (int frame = 0; frame < 14; ++frame) EXPECT_LT(run["opacification"]["score"][frame], 0.05 * best) << frame;
  const double share = run["segmented"][0]["vessel_fraction"];
  EXPECT_GT(share, 0.015);
  EXPECT_LT(share, 0.05);
  EXPECT_EQ(dicom::read_segmentation(root / "out/run_00001_seg.dcm").source_frames.size(),
            1U);  // its name is a person's
  const std::string said = outcome.out + outcome.err + document.dump();
  for (const char* secret : {"Rubo", "DEMO", "556342B", "19951025"}) EXPECT_THAT(said, Not(HasSubstr(secret)));
}

}  // namespace
}  // namespace cmunet
