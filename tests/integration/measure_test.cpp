// SPDX-License-Identifier: Apache-2.0
// The built program: `cmunet measure` on phantoms whose vessels are known, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/codec/codec.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/segmentation_object.h"
#include "cmunet/dicom/xa.h"
#include "measure_command.h"

namespace cmunet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(MeasureCommand, SaysThatSoftEdgesOfAMaskCountAsVessel) {
  EXPECT_EQ(measure("").err.find("largest value"), std::string::npos);
  image::Image<std::uint8_t> mask(kHeight, kWidth);
  for (int x = 15; x < 145; ++x) {
    for (int y = 50; y < 70; ++y) mask.at(y, x) = y == 50 ? 90 : 255;
  }
  codec::write_png(root / "mask.png", mask);
  EXPECT_THAT(measure("").err, HasSubstr("[measure] 1 masks have 130 pixels between 0 and their largest value"));
}

TEST_F(MeasureCommand, SaysWhatWasOddAboutTheRun) {
  const Json ct = measured_run({"Modality=CT"});
  EXPECT_THAT(ct["source"]["oddities"].dump(), HasSubstr("modality is CT"));
  EXPECT_THAT(read_file(root / "out/report.html"), HasSubstr("modality is CT"));
}

TEST_F(MeasureCommand, FileNamesThatNameThePatientAreLeftOut) {
  const auto name_of = [&](const std::string& file, const std::string& patient) {
    measured_run({"SpecificCharacterSet=ISO_IR 192", "PatientName=" + patient, "PatientID=12-34-56"});
    fs::copy_file(root / "run.dcm", root / (file + ".dcm"), fs::copy_options::overwrite_existing);
    fs::copy_file(root / "mask.png", root / (file + ".png"), fs::copy_options::overwrite_existing);
    const Outcome outcome = program(concat("measure '", (root / file).string(), ".dcm' --mask '",
                                           (root / file).string(), ".png' --force --out ", root / "out"));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const Json source = load_json(root / "out/measurements.json")["source"];
    EXPECT_EQ(source["image"] == "run", source["mask"] == "named like the run") << source;
    return source["image"].get<std::string>();
  };
  EXPECT_EQ(name_of("müller_änne", "MÜLLER^ÄNNE"), "run");
  EXPECT_EQ(name_of("mu\u0308ller", "MÜLLER^ÄNNE"), "run");  // as Apple's disks write it
  EXPECT_EQ(name_of("Muller", "MÜLLER^ÄNNE"), "run");
  EXPECT_EQ(name_of("mueller", "MÜLLER^ÄNNE"), "run");
  EXPECT_EQ(name_of("müller", "MUELLER^ANNA"), "run");
  EXPECT_EQ(name_of("mu\u0308ller", "MUELLER^ANNA"), "run");
  EXPECT_EQ(name_of("scan_soerensen", "SØRENSEN^BO"), "run");
  EXPECT_EQ(name_of("aagaard_1", "ÅGAARD^ID"), "run");
  EXPECT_EQ(name_of("gross", "GROß^IDA"), "run");
  EXPECT_EQ(name_of("obrien", "O'BRIEN^JOE"), "run");
  EXPECT_EQ(name_of("scan_123456", "DOE^JANE"), "run");
  EXPECT_EQ(name_of("li_wu", "LI^WU"), "run");
  EXPECT_EQ(name_of("alice", "LI^WU"), "alice");  // within a word two letters are nobody's
  EXPECT_EQ(name_of("scan_7", "DOE^JANE"), "scan_7");
}

TEST_F(MeasureCommand, APhantomsVesselsHaveTheirDiameters) {
  const Outcome made = program(concat("phantom --count 1 --size 256 --field-mm 70 --seed 4 --out ", root / "phantom"));
  ASSERT_EQ(made.status, 0) << made.err;
  const Json truth = load_json(root / "phantom/truth/0000.json");
  const double spacing = truth["spacing_mm"][1];
  const Outcome outcome =
      program(concat("measure ", root / "phantom/images/0000.png", " --mask ", root / "phantom/masks/0000.png",
                     " --spacing-mm ", spacing, " --out ", root / "out"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json m = load_json(root / "out/measurements.json");
  ASSERT_GT(m["segments"].size(), 5U);
  // The true diameter nearest to the middle of each segment's ends is hard to say; the widest is the first vessel's.
  double widest = 0, thickest = 0;
  for (const Json& s : m["segments"]) {
    if (s["cross_sections"].get<int>() > 20) widest = std::max(widest, s["mean_diameter"]["mm"]["value"].get<double>());
  }
  for (const Json& branch : truth["branches"]) {
    for (const Json& point : branch["points"]) thickest = std::max(thickest, point[3].get<double>());
  }
  EXPECT_LE(widest, 1.6 * thickest);  // two vessels side by side at most
  EXPECT_GE(widest, 0.5 * thickest);
}

TEST_F(MeasureCommand, TheModelSeesSquarePixelsWhoeverKnowsTheirShape) {
  // Every second row of a phantom, as a picture and as a run that says so.
  const Outcome made = program(concat("phantom --count 1 --size 256 --field-mm 70 --seed 4 --out ", root / "phantom"));
  ASSERT_EQ(made.status, 0) << made.err;
  const image::ImageF whole = codec::read_image(root / "phantom/images/0000.png").grey;
  const auto half = [&whole](int y, int x) { return static_cast<int>(std::lround(whole.at(2 * y, x))); };
  image::Image<std::uint8_t> picture(128, 256);
  for (int y = 0; y < 128; ++y) {
    for (int x = 0; x < 256; ++x) picture.at(y, x) = static_cast<std::uint8_t>(half(y, x));
  }
  codec::write_png(root / "half.png", picture);
  dicom::MadeRun run;
  run.frames = 1, run.height = 128, run.width = 256;
  run.cell = [&half](int, int y, int x, int) { return half(y, x); };
  run.attributes = {"PixelAspectRatio=2\\1"};
  dicom::write_run(run, root / "half.dcm");
  // They follow from the mask alone, whatever the shape of a pixel.
  const auto nodes = [this](const std::string& arguments) {
    const Outcome outcome = program(concat("measure --threads 2 --force --out ", root / "out", " ", arguments));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return load_json(root / "out/measurements.json")["nodes"];
  };
  const Json by_header = nodes((root / "half.dcm").string());
  EXPECT_FALSE(by_header.empty());
  EXPECT_EQ(nodes(concat(root / "half.png", " --spacing-mm 0.5,0.25")), by_header);
  EXPECT_NE(nodes((root / "half.png").string()), by_header);
}

TEST_F(MeasureCommand, FindsWallsInThePictureUnlessToldOtherwise) {
  ASSERT_EQ(program(concat("phantom --count 1 --size 256 --field-mm 70 --seed 4 --out ", root / "phantom")).status, 0);
  const auto walls = [&](const std::string& flags) {
    const Outcome outcome = program(
        concat("measure --mask ", root / "phantom/masks/0000.png", " --force --out ", root / "out", " ", flags));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return load_json(root / "out/measurements.json")["walls"];
  };
  const std::string picture = (root / "phantom/images/0000.png").string();
  const Json image = walls(picture);
  EXPECT_EQ(image["found_in"], "image");
  const int found = image["cross_sections_from_image"], kept = image["cross_sections_kept"];
  EXPECT_GT(found, 100);
  const std::string csv = read_file(root / "out/profiles.csv"), html = read_file(root / "out/report.html");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + found + kept);
  EXPECT_THAT(csv, HasSubstr(",image"));
  EXPECT_THAT(html, HasSubstr(concat("at ", found, " of ", found + kept, " cross-sections")));
  EXPECT_EQ(walls("--walls mask " + picture)["found_in"], "mask");
  EXPECT_EQ(walls("")["found_in"], "mask");
  EXPECT_EQ(program(concat("measure --walls image --mask ", root / "phantom/masks/0000.png", " --out ", root / "none"))
                .status,
            2);
}

TEST_F(MeasureCommand, MeasuresAProbabilityMapAndAPath) {
  const std::string map = concat(" --probability ", root / "mask.png", " --walls mask --force --out ", root / "out");
  const Outcome soft = program(concat("measure ", root / "picture.png", map));
  ASSERT_EQ(soft.status, 0) << soft.err;
  EXPECT_NEAR(minimal(load_json(root / "out/measurements.json"))["px"]["value"].get<double>(), kNarrow_px, 0.3);
  // Without the picture, too.
  EXPECT_EQ(program(concat("measure", map)).status, 0);
  const Json path = measured("--from 59,40 --to 59,120 --reference interpolated --markers 0.1,0.9");
  ASSERT_EQ(path["segments"].size(), 1U);
  EXPECT_NEAR(path["segments"][0]["length"]["px"]["value"].get<double>(), 80, 3);
  EXPECT_EQ(path["reference"], "interpolated");
}

TEST_F(MeasureCommand, TakesAFolderWithOneRunAndSaysWhatToDoWithMore) {
  fs::create_directories(root / "cd");
  measured_run({"PixelSpacing=0.25\\0.25", "PixelSpacingCalibrationType=GEOMETRY"});
  fs::copy_file(root / "run.dcm", root / "cd/im1");
  const std::string mask = concat(" --mask ", root / "mask.png", " --force --out ", root / "out");
  EXPECT_EQ(program(concat("measure ", root / "cd", mask)).status, 0);
  EXPECT_EQ(load_json(root / "out/measurements.json")["calibration"]["source"], "pixel_spacing");
  EXPECT_THAT(read_file(root / "out/report.html"), HasSubstr(" px; 95 % interval"));  // beside millimetres
  fs::copy_file(root / "run.dcm", root / "cd/im2");
  const Outcome two = program(concat("measure ", root / "cd", mask));
  EXPECT_EQ(two.status, 2);
  EXPECT_THAT(two.err, HasSubstr("holds 2 DICOM runs"));
  EXPECT_THAT(two.err, HasSubstr("cmunet predict --dicom-sr"));
  fs::create_directories(root / "nothing");
  EXPECT_THAT(program(concat("measure ", root / "nothing", mask)).err, HasSubstr("holds 0 DICOM runs"));
}

TEST_F(MeasureCommand, TakesTheMasksOfADicomSegmentation) {
  dicom::MadeRun run;
  run.frames = 3, run.height = kHeight, run.width = kWidth;
  run.cell = [](int, int y, int x, int) { return grey(y, x); };
  dicom::write_run(run, root / "run.dcm");
  run.attributes = {"SOPInstanceUID=1.2.826.0.1.3680043.2.1143.99"};
  dicom::write_run(run, root / "other.dcm");
  const dicom::XaRun source(root / "run.dcm");
  image::Mask mask(kHeight, kWidth);
  for (int y = 41; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) mask.at(y, x) = depth(y, x) > 0 ? 1 : 0;
  }
  dicom::SegmentationObject one({source.header(), source.patient()}), two({source.header(), source.patient()});
  one.add(1, mask);
  two.add(0, mask), two.add(2, mask);
  one.save(root / "one.dcm"), two.save(root / "two.dcm");
  const auto measure_by = [&](const std::string& files) {
    return program(concat("measure --walls mask --force --out ", root / "out", " ", files));
  };
  // The only mask says the frame; a picture of the same mask gives the same numbers.
  EXPECT_EQ(measure_by(concat(root / "run.dcm", " --mask ", root / "one.dcm")).status, 0);
  const Json by_object = load_json(root / "out/measurements.json");
  EXPECT_EQ(by_object["source"]["frame"], 2);
  EXPECT_EQ(by_object["segments"], measured("")["segments"]);
  EXPECT_EQ(measure_by(concat("--mask ", root / "one.dcm")).status, 0);
  EXPECT_EQ(measure_by(concat(root / "run.dcm", " --frame 3 --mask ", root / "two.dcm")).status, 0);
  const Outcome missing = measure_by(concat(root / "run.dcm", " --frame 2 --mask ", root / "two.dcm"));
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("no mask of frame 2; it has 2, of 1, 3"));
  EXPECT_EQ(measure_by(concat("--mask ", root / "two.dcm")).status, 2);
  EXPECT_EQ(measure_by(concat("--frame 1 --mask ", root / "two.dcm")).status, 0);
  EXPECT_THAT(measure_by(concat(root / "other.dcm", " --mask ", root / "one.dcm")).err, HasSubstr("of another run"));
}

TEST_F(MeasureCommand, ShowsWhyItTookThatFrame) {
  dicom::MadeRun run;
  run.frames = 20, run.height = kHeight, run.width = kWidth;
  run.cell = [](int frame, int y, int x, int) { return frame < 8 ? grey(20, x) : grey(y, x); };
  dicom::write_run(run, root / "run.dcm");
  const dicom::XaRun source(root / "run.dcm");
  dicom::SegmentationObject all({source.header(), source.patient()});
  for (int frame = 0; frame < 20; ++frame) all.add(frame, image::Mask(kHeight, kWidth, 1));
  all.save(root / "all.dcm");
  EXPECT_EQ(program(concat("measure ", root / "run.dcm", " --mask ", root / "all.dcm", " --force --out ", root / "out"))
                .status,
            0);
  EXPECT_THAT(read_file(root / "out/report.html"), HasSubstr("Why this frame"));
  EXPECT_EQ(program(concat("measure ", root / "run.dcm", " --frame 9 --mask ", root / "mask.png", " --force --out ",
                           root / "out"))
                .status,
            0);
  EXPECT_THAT(read_file(root / "out/report.html"), Not(HasSubstr("Why this frame")));
}

TEST_F(MeasureCommand, APictureOfVesselsDoesNotSayWhichFrameItShows) {
  dicom::MadeRun run;
  run.frames = 2, run.height = kHeight, run.width = kWidth;
  run.cell = [](int, int y, int x, int) { return grey(y, x); };
  dicom::write_run(run, root / "run.dcm");
  for (const char* flag : {"--mask", "--probability"}) {
    const std::string command =
        concat("measure ", root / "run.dcm", " ", flag, " ", root / "mask.png", " --force --out ", root / "out");
    const Outcome outcome = program(command);
    EXPECT_EQ(outcome.status, 2) << flag;
    EXPECT_THAT(outcome.err, HasSubstr("--frame N")) << flag;
    EXPECT_EQ(program(command + " --frame 2").status, 0) << flag;
  }
}

TEST_F(MeasureCommand, WrongFlagsAreUsageErrorsAndWriteNothing) {
  for (const char* flags :
       {"--spacing-mm 0", "--spacing-mm 50", "--spacing-mm x", "--spacing-mm 0.2 --magnification 1.5",
        "--spacing-mm 0.2 --catheter-french 6 --catheter-points 1,1,5,5", "--from 1,1", "--reference best",
        "--markers 2", "--spacing-mm 0.2 --spacing-sd-percent 80", "--from 1,1,1 --to 2,2", "--from 1, --to 2,2",
        "--from 59,40 --to 59,2000", "--catheter-french 6 --catheter-points 600,1,610,1",
        "--reference interpolated --markers 0.5", "--imager-spacing-mm 0.2,0 --magnification 1.5"}) {
    const Outcome outcome = measure(flags);
    EXPECT_EQ(outcome.status, 2) << flags;
    EXPECT_THAT(outcome.err, HasSubstr("cmunet: error:")) << flags;
    EXPECT_FALSE(fs::exists(root / "out/measurements.json")) << flags;
    fs::remove_all(root / "out");
  }
  EXPECT_EQ(program(concat("measure ", root / "picture.png")).status, 2);  // no --out
  EXPECT_EQ(program(concat("measure --out ", root / "out")).status, 2);    // nothing to measure
}

TEST_F(MeasureCommand, AnEmptyNameIsNoMissingFlag) {
  const Outcome outcome = program(concat("measure ", root / "picture.png", " --mask '' --out ", root / "none"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--mask: is empty"));
  EXPECT_FALSE(fs::exists(root / "none"));
}

TEST_F(MeasureCommand, NumbersEndBeforeThePicture) {
  for (const char* flags :
       {"--spacing-mm 0.2", "--spacing-mm 0.2,0.2", "--from 59,40 --to 59,120",
        "--reference interpolated --markers 0.1,0.9", "--imager-spacing-mm 0.3 --magnification 1.5"}) {
    const Outcome outcome = program(concat("measure --force --out ", root / "out", " --mask ", root / "mask.png", " ",
                                           flags, " ", root / "picture.png"));
    EXPECT_EQ(outcome.status, 0) << flags << outcome.err;
  }
}

TEST_F(MeasureCommand, SaysWhereAPathEndsThatWasAskedForElsewhere) {
  EXPECT_THAT(measure("--from 59,40 --to 59,120").err, Not(HasSubstr("from the nearest vessel")));
  EXPECT_THAT(measure("--from 59,40 --to 5,120").err, HasSubstr("--to is 5"));
}

TEST_F(MeasureCommand, BadInputIsADataError) {
  write_file_atomic(root / "broken.png", "no picture at all");
  const auto status = [&](const std::string& arguments) {
    return program(concat("measure --force --out ", root / "out", " ", arguments)).status;
  };
  EXPECT_EQ(status(concat(root / "picture.png", " --mask ", root / "absent.png")), 3);
  EXPECT_EQ(status(concat(root / "picture.png", " --mask ", root / "broken.png")), 3);
  EXPECT_EQ(status(concat(root / "broken.png", " --mask ", root / "mask.png")), 3);
  codec::write_png(root / "other.png", image::Image<std::uint8_t>(20, 20));
  const Outcome other = program(
      concat("measure --force --out ", root / "out", " ", root / "picture.png", " --mask ", root / "other.png"));
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("--mask has 20 rows and 20 columns; expected those of the picture"));
  // A mask without vessel is measured: there is none.
  const Outcome empty = program(concat("measure --mask ", root / "other.png", " --force --out ", root / "out"));
  EXPECT_EQ(empty.status, 0) << empty.err;
  EXPECT_THAT(empty.out, HasSubstr("no vessel was found"));
  EXPECT_TRUE(load_json(root / "out/measurements.json")["tightest_segment"].is_null());
  // No path leads through it.
  EXPECT_EQ(status(concat("--mask ", root / "other.png", " --from 1,1 --to 5,5")), 3);
}

TEST_F(MeasureCommand, ADryRunMeasuresNoPhantoms) {
  EXPECT_THAT(program("measure --accuracy --dry-run").out,
              AllOf(HasSubstr("would measure phantoms"), HasSubstr("not for clinical use")));
}

TEST_F(MeasureCommand, ADryRunWritesNothing) {
  const Outcome outcome = measure("--dry-run");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("would measure"), HasSubstr("not for clinical use")));
  EXPECT_FALSE(fs::exists(root / "out"));
  EXPECT_EQ(program(concat("measure --dry-run --out ", root / "out", " ", root / "picture.png")).status,
            0);  // by model
}

TEST_F(MeasureCommand, ADryRunRefusesWhatTheRunWouldRefuse) {
  const auto status = [&](const std::string& arguments) {
    return program(concat("measure --dry-run --out ", root / "out", " ", root / "picture.png", " ", arguments)).status;
  };
  EXPECT_EQ(status("--catheter-french 6"), 2);
  EXPECT_EQ(status(concat("--mask ", root / "absent.png")), 3);
  EXPECT_EQ(status(concat("--model ", root / "absent.safetensors")), 3);
  EXPECT_EQ(status("--from 500,500 --to 10,10"), 2);
  EXPECT_EQ(program(concat("measure --dry-run --out ", root / "out", " ", root / "absent.png")).status, 3);
  EXPECT_EQ(program(concat("measure --dry-run --out ", root, " ", root / "picture.png")).status, 2);  // not empty
}

}  // namespace
}  // namespace cmunet
