// SPDX-License-Identifier: Apache-2.0
// What is no run, what is damaged, how folders are searched, and how much memory a long run takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cmunet/base/file.h"
#include "cmunet/base/peak_memory.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Refused : public testing::Test {
 protected:
  std::string message_of(const fs::path& file, ErrorCode expected) {
    try {
      const XaRun run(file);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), expected) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(file.filename().string()));
      return error.what();
    }
    ADD_FAILURE() << "was read";
    return {};
  }
  std::string message_of(const MadeRun& run, ErrorCode expected) {
    write_run(run, folder / "run.dcm");
    return message_of(folder / "run.dcm", expected);
  }
  ScratchFolder folder;
};

TEST_F(Refused, ObjectsThatAreNoRuns) {
  MadeRun made;
  made.attributes = {"BitsAllocated=32"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("Bits"));
  made.attributes = {"BitsAllocated=12"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("dcmcjpls"));
  made.attributes = {"PhotometricInterpretation=HSV"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("1 samples per pixel of HSV; expected"));
  made.attributes = {"PhotometricInterpretation=PALETTE COLOR"};
  EXPECT_THAT(message_of(made, ErrorCode::kCorrupt), HasSubstr("without three whole tables"));
  made.attributes.emplace_back("SegmentedRedPaletteColorLookupTableData=0\\0");
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("export the picture in grey"));
  made.attributes = {"Rows=40000", "Columns=40000"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("40000x40000"));
  made.attributes = {"NumberOfFrames=many"};
  const std::string no_number = message_of(made, ErrorCode::kCorrupt);
  EXPECT_THAT(no_number, HasSubstr("is no number; expected a whole number from 0"));
  EXPECT_THAT(no_number, testing::Not(HasSubstr("many")));
  made.attributes = {"Rows=0"};
  EXPECT_THAT(message_of(made, ErrorCode::kCorrupt), HasSubstr("Rows is 0; expected"));
  made.attributes = {"Rows=200"};
  EXPECT_THAT(message_of(made, ErrorCode::kCorrupt), HasSubstr("a frame needs 4000"));
  made.attributes.clear();
  made.has_pixels = false;
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("no pixel data"));
  made.attributes = {"Modality=SR"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), HasSubstr("modality is SR"));
}

TEST_F(Refused, WithoutShowingTextThatIsNoTerm) {
  MadeRun made;
  made.attributes = {"PhotometricInterpretation=JANE_DOE"};
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), testing::Not(HasSubstr("JANE_DOE")));
  made.attributes = {"Modality=JANE_DOE"};
  made.has_pixels = false;
  EXPECT_THAT(message_of(made, ErrorCode::kUnsupported), testing::Not(HasSubstr("JANE_DOE")));
}

// A run whose pixels nobody looks at, since its transfer syntax is not read.
std::string run_in(std::string_view syntax) {
  std::string head = made_file_head(syntax);
  head.insert(132, made_element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.12.1"));
  return head + made_run_head(2, 2, "1") + made_head(0x7fe00010, "OB", kOpenLength) + made_item(kItem, 0) +
         made_item(kItem, 4) + "four" + made_item(kSequenceEnd, 0);
}

TEST_F(Refused, TransferSyntaxesThatAreNotReadAreNamedWithAWayOut) {
  const std::pair<const char*, const char*> syntaxes[] = {
      {"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)"},
      {"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL"},
      {"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"},
      {"1.2.840.10008.1.2.4.110", "JPEG XL"},
      {"1.2.840.10008.1.2.4.100", "MPEG2"},
      {"1.2.3.4.5", "unknown"}};
  for (const auto& [uid, name] : syntaxes) {
    write_file_atomic(folder / "run.dcm", run_in(uid));
    const std::string message = message_of(folder / "run.dcm", ErrorCode::kUnsupported);
    EXPECT_THAT(message, HasSubstr(uid));
    EXPECT_THAT(message, HasSubstr(name));
    EXPECT_THAT(message, HasSubstr("let the archive send it as explicit little endian"));
    EXPECT_THAT(message, testing::Not(HasSubstr("\n")));
  }
}

TEST_F(Refused, RunsThatCannotBeOpenedAreNotPassedOverInSilence) {
  MadeRun made;
  made.attributes = {"InstanceNumber=2"};
  write_run(made, folder / "good.dcm");
  write_file_atomic(folder / "htj2k.dcm", run_in("1.2.840.10008.1.2.4.201"));
  const std::string bytes = make_run(made);
  write_file_atomic(folder / "cut.dcm", std::string_view(bytes).substr(0, 400));
  write_file_atomic(folder / "text.dcm", std::string(128, '\0') + "DICM" + std::string(300, 'x'));
  EXPECT_THAT(find_runs(folder.path()),
              testing::ElementsAre(folder / "cut.dcm", folder / "htj2k.dcm", folder / "good.dcm"));
}

TEST_F(Refused, FilesThatAreNoDicom) {
  write_file_atomic(folder / "notes.txt",
                    "these are the notes of a patient, long enough to hold a header of 132 bytes");
  EXPECT_FALSE(is_dicom_file(folder / "notes.txt"));
  message_of(folder / "notes.txt", ErrorCode::kCorrupt);
  write_file_atomic(folder / "empty.dcm", "");
  message_of(folder / "empty.dcm", ErrorCode::kCorrupt);
  message_of(folder / "absent.dcm", ErrorCode::kNotFound);
  write_file_atomic(folder / "preamble.dcm", std::string(128, '\0') + "DICM");
  message_of(folder / "preamble.dcm", ErrorCode::kCorrupt);
}

TEST_F(Refused, OfACutOffFileTheWholeFramesAreRead) {
  for (const MadeSyntax& syntax : made_syntaxes()) {
    SCOPED_TRACE(syntax.name);
    MadeRun made;
    made.syntax = syntax.uid;
    made.frames = 4;
    made.height = made.width = 64;
    const std::string bytes = make_run(made);
    write_file_atomic(folder / "cut.dcm", std::string_view(bytes).substr(0, bytes.size() - bytes.size() / 5));
    try {
      const XaRun run(folder / "cut.dcm");
      EXPECT_GE(run.header().oddities.size(), 1U);
      ASSERT_GE(run.header().frames, 2);
      EXPECT_NO_THROW(run.frame(1));
    } catch (const Error& error) {  // of a deflated file nothing can be known
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
      EXPECT_STREQ(syntax.name, "deflated") << error.what();
    }
  }
}

TEST_F(Refused, FoldersOfMixedFiles) {
  fs::create_directories(folder / "a");
  fs::create_directories(folder / "a/b");
  MadeRun made;
  for (const int instance : {10, 2}) {
    made.attributes = {concat("InstanceNumber=", instance), concat("SOPInstanceUID=1.2.3.", instance)};
    write_run(made, folder / concat("a/IM", instance));
  }
  made.attributes = {"SeriesInstanceUID=1.2.826.0.1.3680043.2.1143.1.9"};
  made.has_preamble = false;
  write_run(made, folder / "a/b/bare");
  made.attributes = {"SOPClassUID=1.2.840.10008.5.1.4.1.1.2"};  // CT
  write_run(made, folder / "a/b/ct.dcm");
  made.attributes = {"Manufacturer=cmunet", "ConversionType=WSD"};  // an overlay from here, and no angiogram any more
  write_run(made, folder / "a/b/overlay.dcm");
  EXPECT_THROW(XaRun(folder / "a/b/overlay.dcm"), Error);
  EXPECT_TRUE(is_own_result(folder / "a/b/overlay.dcm"));
  EXPECT_FALSE(is_own_result(folder / "a/IM2"));
  EXPECT_FALSE(is_own_result(folder / "a/broken.dcm"));
  write_file_atomic(folder / "a/readme.txt", "not a picture");
  write_file_atomic(folder / "a/broken.dcm", std::string(128, '\0') + "DICMxxxxxxxxxxxxxxxxxxxxx");
  fs::create_directory_symlink(folder.path(), folder / "a/loop");
  EXPECT_THAT(find_runs(folder.path()), testing::ElementsAre(folder / "a/b/bare", folder / "a/IM2", folder / "a/IM10"));
  EXPECT_THAT(find_runs(folder / "a/IM2"), testing::ElementsAre(folder / "a/IM2"));
  EXPECT_THAT(find_runs(folder / "a/readme.txt"), testing::IsEmpty());
  EXPECT_THROW(find_runs(folder / "none"), Error);
}

TEST_F(Refused, ADicomdirNamesItsRunsAndNothingOutside) {
  fs::create_directories(folder / "disc/dicom");
  MadeRun made;
  write_run(made, folder / "disc/dicom/im1");
  write_run(made, folder / "outside");
  made.has_pixels = false;
  made.attributes = {"SOPClassUID=1.2.840.10008.1.3.10", "DirectoryRecordSequence[0].ReferencedFileID=DICOM\\IM1",
                     "DirectoryRecordSequence[1].ReferencedFileID=..\\OUTSIDE",
                     "DirectoryRecordSequence[2].ReferencedFileID=DICOM\\GONE",
                     "DirectoryRecordSequence[3].DirectoryRecordType=PATIENT"};
  write_run(made, folder / "disc/DICOMDIR");
  EXPECT_THAT(find_runs(folder / "disc/DICOMDIR"), testing::ElementsAre(folder / "disc/dicom/im1"));
  EXPECT_EQ(find_runs(folder / "disc").size(), 1U);
}

constexpr std::int64_t kMost_kib = 40 * 1024 + kSanitizer_kib;

TEST_F(Refused, FiveHundredFramesTakeTheMemoryOfAFew) {
  MadeRun made;
  made.frames = 1;
  made.height = made.width = 1024;
  const std::string one = make_run(made);
  const std::size_t header = one.size() - 1024 * 1024;
  // A sparse file: the header with 500 frames, and nothing on the disk.
  made.attributes = {"NumberOfFrames=500"};
  std::string head = make_run(made).substr(0, header + 2);
  for (int i = 0; i < 4; ++i)
    head[head.size() - 4 + static_cast<std::size_t>(i)] = static_cast<char>((500 << 20) >> (8 * i));
  write_file_atomic(folder / "long.dcm", head);
  fs::resize_file(folder / "long.dcm", head.size() + (std::size_t{500} << 20));
  const std::int64_t before = peak_kib();
  const XaRun run(folder / "long.dcm");
  ASSERT_EQ(run.header().frames, 500);
  for (int f = 499; f >= 0; f -= 7) EXPECT_EQ(run.frame(f).at(512, 512), 0.0F);
  EXPECT_LT(peak_kib() - before, kMost_kib);
}

TEST_F(Refused, CompressedFramesAreNotKeptEither) {
  MadeRun made;
  made.frames = 50;
  made.height = made.width = 1024;
  made.syntax = "1.2.840.10008.1.2.5";
  std::vector<int> noise(1 << 20);
  Rng rng(3);
  for (int& v : noise) v = static_cast<int>(rng.below(256));
  made.cell = [&](int f, int y, int x, int) { return noise[static_cast<std::size_t>(y * 1024 + x)] ^ f; };
  const int status = run_in_child([&] {  // what writing took is not counted
    write_run(made, folder / "noise.dcm");
    return 0;
  });
  ASSERT_EQ(status, 0);
  const std::int64_t before = peak_kib();
  const XaRun run(folder / "noise.dcm");
  ASSERT_EQ(run.header().frames, 50);
  for (int f = 0; f < 50; ++f) ASSERT_EQ(run.stored_frame(f).at(9, 77), static_cast<float>(made.cell(f, 9, 77, 0)));
  EXPECT_LT(peak_kib() - before, kMost_kib);  // the file has 50 MiB
}

}  // namespace
}  // namespace cmunet::dicom
