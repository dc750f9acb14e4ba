// SPDX-License-Identifier: Apache-2.0
// Written segmentations are read back here, by pydicom, and judged by dciodvfy.
#include "cmunet/dicom/segmentation_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/result_test_support.h"

namespace cmunet::dicom {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

image::Mask noise(int height, int width, std::uint64_t seed) {
  image::Mask mask(height, width);
  Rng rng(seed);
  for (auto& v : mask) v = rng.bernoulli(0.3) ? 1 : 0;
  return mask;
}

// An L whose arms differ: every flip and turn of it is another picture.
image::Mask asymmetric_l(int height, int width) {
  image::Mask mask(height, width);
  for (int y = 3; y < height - 4; ++y) mask.at(y, 5) = mask.at(y, 6) = 1;
  for (int x = 5; x < width / 2; ++x) mask.at(height - 5, x) = 1;
  return mask;
}

TEST(SegmentationObject, ComesBackWithTheSamePixelsAndFrames) {
  // 7 x 9 pixels: a frame ends inside a byte.
  const ScratchFolder folder;
  const ResultSource source = test_source(12, 7, 9);
  SegmentationObject object(source, {.model = "coronary-small"});
  const std::vector<int> frames{0, 3, 11};
  std::vector<image::Mask> masks;
  for (const int frame : frames) {
    masks.push_back(noise(7, 9, static_cast<std::uint64_t>(frame) + 1));
    object.add(frame, masks.back());
  }
  object.save(folder / "seg.dcm");
  const SegmentationContent content = read_segmentation(folder / "seg.dcm");
  EXPECT_EQ(content.source_frames, frames);
  for (std::size_t i = 0; i < masks.size(); ++i) EXPECT_EQ(content.mask(i), masks[i]) << i;
  EXPECT_THROW(content.mask(3), Error);
  EXPECT_EQ(content.source_sop_instance_uid, source.header.source.sop_instance_uid);
  EXPECT_EQ(content.source_series_uid, source.header.source.series_uid);
  EXPECT_EQ(content.study_uid, source.header.source.study_uid);
  EXPECT_EQ(content.algorithm_name, "cmunet coronary-small");
  EXPECT_THAT(content.segment_description, HasSubstr("not for clinical use"));
}

TEST(SegmentationObject, PutsAnAsymmetricShapeOnTheSamePixels) {
  const ScratchFolder folder;
  SegmentationObject object(test_source(1, 40, 64));
  object.add(0, asymmetric_l(40, 64));
  object.save(folder / "seg.dcm");
  EXPECT_EQ(read_segmentation(folder / "seg.dcm").mask(0), asymmetric_l(40, 64));
}

TEST(SegmentationObject, HasNoErrorsForDciodvfy) {
  if (!has_program("dciodvfy")) GTEST_SKIP() << "dciodvfy (dicom3tools) is not installed";
  const ScratchFolder folder;
  for (const int frames : {1, 5}) {
    ResultSource source = test_source(frames, 33, 47);
    if (frames == 5) source.header.lossy = "JPEG baseline";
    SegmentationObject object(source);
    for (int i = 0; i < frames; ++i) object.add(i, noise(33, 47, 9));
    object.save(folder / "seg.dcm");
    EXPECT_THAT(dciodvfy_errors(folder / "seg.dcm"), IsEmpty());
  }
}

// The bytes of a segmentation of one empty frame.
std::string saved(const ResultSource& source, const ResultOptions& options = {}) {
  const ScratchFolder folder;
  SegmentationObject object(source, options);
  object.add(0, image::Mask(source.header.height, source.header.width));
  object.save(folder / "seg.dcm");
  return read_file(folder / "seg.dcm");
}

constexpr std::uint32_t kAspectRatio = 0x00280034, kLossyRatio = 0x00282112, kLossyMethod = 0x00282114;

// Tag and VR of an attribute, as they stand before its value.
std::string head_of(std::uint32_t tag, std::string_view vr) { return made_head(tag, vr, 0).substr(0, 6); }

TEST(SegmentationObject, SaysThatPixelsAreNotSquare) {
  ResultSource source = test_source(1, 8, 8);
  EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kAspectRatio, "IS"))));
  source.header.pixel_aspect_ratio = 4.0 / 3;
  EXPECT_THAT(saved(source), HasSubstr(made_element(kAspectRatio, "IS", "1333\\1000")));
}

TEST(SegmentationObject, SaysHowTheSourceLostDetail) {
  ResultSource source = test_source(1, 8, 8);
  source.header.lossy_ratio = "12.5", source.header.lossy_method = "ISO_15444_1";
  EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kLossyMethod, "CS"))));  // it does not say that it lost any
  source.header.lossy = "compressed with loss before: ISO_15444_1";
  EXPECT_THAT(saved(source), testing::AllOf(HasSubstr(made_element(kLossyRatio, "DS", "12.5")),
                                            HasSubstr(made_element(kLossyMethod, "CS", "ISO_15444_1"))));
  source.header.lossy_ratio = source.header.lossy_method = "";
  const std::pair<const char*, const char*> syntaxes[] = {{"1.2.840.10008.1.2.4.50", "ISO_10918_1"},
                                                          {"1.2.840.10008.1.2.4.51", "ISO_10918_1"},
                                                          {"1.2.840.10008.1.2.4.81", "ISO_14495_1"},
                                                          {"1.2.840.10008.1.2.4.91", "ISO_15444_1"}};
  for (const auto& [syntax, method] : syntaxes) {
    source.header.source.transfer_syntax_uid = syntax;
    EXPECT_THAT(saved(source), HasSubstr(made_element(kLossyMethod, "CS", method)));
    EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kLossyRatio, "DS"))));
  }
}

TEST(SegmentationObject, NamesTheFrameOfARunOfSeveral) {
  constexpr std::uint32_t kFrameNumber = 0x00081160;
  EXPECT_THAT(saved(test_source(2, 8, 8)), HasSubstr(made_element(kFrameNumber, "IS", "1")));
  const std::string of_one = saved(test_source(1, 8, 8));
  EXPECT_THAT(of_one, testing::Not(HasSubstr(head_of(kFrameNumber, "IS"))));
  const ScratchFolder folder;
  write_file_atomic(folder / "seg.dcm", of_one);
  EXPECT_EQ(read_segmentation(folder / "seg.dcm").source_frames, std::vector{0});
}

TEST(SegmentationObject, SaysWhoseNumberThePatientIdIs) {
  ResultSource source = test_source(1, 8, 8);
  constexpr std::uint32_t kIssuer = 0x00100021, kQualifiers = 0x00100024;
  EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kIssuer, "LO"))));
  EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kQualifiers, "SQ"))));
  source.patient.issuer = "St. Elsewhere";
  source.patient.issuer_entity_id = "1.2.777", source.patient.issuer_entity_id_type = "ISO";
  source.patient.id_type = "MR";
  EXPECT_THAT(saved(source), testing::AllOf(HasSubstr(made_element(kIssuer, "LO", "St. Elsewhere")),
                                            HasSubstr(head_of(kQualifiers, "SQ")),
                                            HasSubstr(made_element(0x00400032, "UT", "1.2.777")),
                                            HasSubstr(made_element(0x00400033, "CS", "ISO")),
                                            HasSubstr(made_element(0x00400035, "CS", "MR"))));
}

TEST(SegmentationObject, SaysThatAnyOfItsTextsIsUtf8) {
  const std::string declared = made_element(0x00080005, "CS", "ISO_IR 192");
  ResultSource source = test_source(1, 8, 8);
  EXPECT_THAT(saved(source), testing::Not(HasSubstr("ISO_IR 192")));
  EXPECT_THAT(saved(source, {.model = "größer"}), HasSubstr(declared));
  source.patient.accession_number = "Ä-42";
  EXPECT_THAT(saved(source), HasSubstr(declared));
}

TEST(SegmentationObject, CutsNoCharacterOfTheAlgorithmsName) {
  const ScratchFolder folder;
  const std::string fits(56, 'a');  // with "cmunet " one byte below the most
  SegmentationObject object(test_source(1, 8, 8), {.model = fits + "ü"});
  object.add(0, image::Mask(8, 8));
  object.save(folder / "seg.dcm");
  EXPECT_EQ(read_segmentation(folder / "seg.dcm").algorithm_name, "cmunet " + fits);
}

TEST(SegmentationObject, TellsTheTimeInTheSourcesZone) {
  constexpr std::uint32_t kOffset = 0x00080201, kContentDate = 0x00080023;
  ResultSource source = test_source(1, 8, 8);
  EXPECT_THAT(saved(source), testing::Not(HasSubstr(head_of(kOffset, "SH"))));
  std::set<std::string> dates;
  for (const char* offset : {"+1400", "-1200"}) {  // more than a day apart
    source.header.utc_offset = offset;
    const std::string bytes = saved(source);
    EXPECT_THAT(bytes, HasSubstr(made_element(kOffset, "SH", offset)));
    dates.insert(bytes.substr(bytes.find(made_head(kContentDate, "DA", 8)) + 8, 8));
  }
  EXPECT_EQ(dates.size(), 2U);
}

TEST(SegmentationObject, IsReadByPydicom) {
  if (!has_pydicom()) GTEST_SKIP() << "pydicom (python3-pydicom) is not installed";
  const ScratchFolder folder;
  ResultSource source = test_source(6, 40, 63);
  source.patient.name = "Müller^Jürgen";
  SegmentationObject object(source);
  object.add(2, asymmetric_l(40, 63));
  object.add(4, noise(40, 63, 4));
  object.save(folder / "seg.dcm");
  const std::string seen = run_python("read_segmentation.py", folder / "seg.dcm");
  std::string expected = concat("patient Müller^Jürgen\nsource ", source.header.source.sop_instance_uid, "\nframe 3\n",
                                as_text(asymmetric_l(40, 63)), "frame 5\n", as_text(noise(40, 63, 4)));
  EXPECT_EQ(seen, expected);
  EXPECT_THAT(run_python("check_codes.py", folder / "seg.dcm"), testing::MatchesRegex("codes: [0-9]+\n"));
}

TEST(SegmentationObject, TakesGivenUidsAndMakesNewOnes) {
  const ScratchFolder folder;
  std::set<std::string> uids;
  for (int i = 0; i < 1000; ++i) {
    const std::string uid = new_uid();
    EXPECT_LE(uid.size(), 64U);
    EXPECT_TRUE(uid.starts_with("2.25.")) << uid;
    EXPECT_NE(uid[5], '0');
    uids.insert(uid);
  }
  EXPECT_EQ(uids.size(), 1000U);
  SegmentationObject object(test_source(1, 8, 8), {.series_uid = "1.2.3", .instance_uid = "1.2.4"});
  object.add(0, image::Mask(8, 8));
  object.save(folder / "seg.dcm");
  EXPECT_THAT(read_file(folder / "seg.dcm"), testing::AllOf(HasSubstr("1.2.3"), HasSubstr("1.2.4")));
}

TEST(SegmentationObject, RefusesMasksThatDoNotBelong) {
  SegmentationObject object(test_source(3, 8, 8));
  EXPECT_THROW(object.save("/tmp/never.dcm"), Error);
  EXPECT_THROW(object.add(0, image::Mask(8, 9)), Error);
  EXPECT_THROW(object.add(3, image::Mask(8, 8)), Error);
  object.add(1, image::Mask(8, 8));
  EXPECT_THROW(object.add(1, image::Mask(8, 8)), Error);
  for (std::string Source::*uid :
       {&Source::study_uid, &Source::series_uid, &Source::sop_class_uid, &Source::sop_instance_uid}) {
    ResultSource nameless = test_source(1, 8, 8);
    (nameless.header.source.*uid).clear();
    SegmentationObject homeless(nameless);
    homeless.add(0, image::Mask(8, 8));
    EXPECT_THROW(homeless.save("/tmp/never.dcm"), Error);
  }
  EXPECT_FALSE(std::filesystem::exists("/tmp/never.dcm"));
}

TEST(ReadSegmentation, SaysWhatIsWrong) {
  const ScratchFolder folder;
  const auto code_of = [&](const std::filesystem::path& path) {
    try {
      read_segmentation(path);
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of(folder / "absent.dcm"), ErrorCode::kNotFound);
  write_file_atomic(folder / "text.dcm", std::string_view("no DICOM at all, but long enough to be looked at"));
  EXPECT_NE(code_of(folder / "text.dcm"), ErrorCode::kInternal);
  SegmentationObject object(test_source(2, 16, 16));
  object.add(0, noise(16, 16, 1));
  object.add(1, noise(16, 16, 2));
  object.save(folder / "seg.dcm");
  const std::string whole = read_file(folder / "seg.dcm");
  using namespace std::string_literals;
  std::string patched = whole;
  for (const char tag : {'\x10', '\x11'}) {  // Rows and Columns become 32,000
    const std::size_t at = patched.find("\x28\0"s + tag + "\0US\x02\0"s);
    ASSERT_NE(at, std::string::npos);
    patched.replace(at + 8, 2, "\x00\x7D"s);
  }
  write_file_atomic(folder / "huge.dcm", patched);
  EXPECT_EQ(code_of(folder / "huge.dcm"), ErrorCode::kUnsupported);
  patched = whole;  // the second mask becomes another image's
  const std::string uid = test_source(2, 16, 16).header.source.sop_instance_uid;
  char& last_digit = patched[patched.rfind(uid) + uid.size() - 1];
  last_digit = last_digit == '1' ? '2' : '1';
  write_file_atomic(folder / "two.dcm", patched);
  EXPECT_EQ(code_of(folder / "two.dcm"), ErrorCode::kUnsupported);
  Rng rng(3);
  for (int i = 0; i < 300; ++i) {  // cut and damaged files end in an Error or are read, never in a crash
    std::string damaged = whole;
    if (i % 2 == 0) damaged.resize(rng.below(whole.size()));
    for (int k = 0; k < 4 && !damaged.empty(); ++k) {
      damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    }
    std::ofstream(folder / "damaged.dcm", std::ios::binary) << damaged;
    try {
      read_segmentation(folder / "damaged.dcm");
    } catch (const Error& e) {
      EXPECT_NE(e.code(), ErrorCode::kInternal) << e.what();
    }
  }
}

}  // namespace
}  // namespace cmunet::dicom
