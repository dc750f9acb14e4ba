// SPDX-License-Identifier: Apache-2.0
// Planted identifiers must not survive, and everything that the picture needs must.
#include "cmunet/dicom/deidentify.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/codestream_comments.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/result_test_support.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

namespace fs = std::filesystem;

struct Planted {
  const char* attribute;
  const char* secret;
};

// Standard, sequence and private elements; the last ones where nobody looks for a name.
const std::vector<Planted> kPlanted{
    {"PatientName", "Quibble^Zebedee"},
    {"PatientID", "ZQ-8841"},
    {"PatientBirthDate", "19370415"},
    {"OtherPatientIDsSequence[0].PatientID", "ALTZQ77"},
    {"IssuerOfPatientID", "Elsewhere numbers"},
    {"IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID", "1.2.777.19370415"},
    {"PatientAddress", "Nutmeg Lane"},
    {"PatientComments", "keeps parrots"},
    {"AccessionNumber", "ACZQ55"},
    {"ReferringPhysicianName", "Ocelot^Greta"},
    {"InstitutionName", "St. Elsewhere"},
    {"StationName", "LABZQ3"},
    {"StudyDescription", "Zebedee again"},
    {"PerformingPhysicianName", "Wombat^Ivo"},
    {"DeviceSerialNumber", "SNZQ1234"},
    {"StudyDate", "20191224"},
    {"AcquisitionDateTime", "20191224101112"},
    {"StudyInstanceUID", "1.2.777.19370415.1"},
    {"SourceImageSequence[0].ReferencedSOPInstanceUID", "1.2.777.8841.2"},
    {"RequestAttributesSequence[0].ScheduledProcedureStepDescription", "for Zebedee Q"},
    {"AnatomicRegionSequence[0].CodeMeaning", "heart of Quibble"},
    {"ImageComments", "pt Z. Quibble"},
    {"(0029,0010)", "QUIBBLE PRIVATE"},
    {"SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].(0031,0010)", "NESTED QUIBBLE"},
    {"(6000,4000)", "overlay of Quibble"},
    {"DerivationDescription", "zebedee text"},
    {"DirectoryRecordSequence[0].PatientName", "Quibble^Nested"},
    {"LossyImageCompressionMethod", "Mr_Quibble"},
    {"ImagerPixelSpacing", "8841\\Quibble"},
};

class Deidentify : public testing::Test {
 protected:
  static MadeRun planted_run(const char* syntax) {
    MadeRun made;
    made.syntax = syntax;
    made.height = made.width = 32;
    made.attributes = {"PixelSpacing=0.21\\0.22",
                       "PositionerPrimaryAngle=-32",
                       "FrameTime=66",
                       "BurnedInAnnotation=NO",
                       "PixelIntensityRelationship=LIN",
                       "(0029,0010)=PRIVATE",
                       "(0029,1010)=7a\\71\\70\\72\\69\\76\\61\\74\\65",  // "zqprivate", of unknown VR

                       "AnatomicRegionSequence[0].CodingSchemeDesignator=99LOCAL"};
    for (const Planted& p : kPlanted) made.attributes.push_back(concat(p.attribute, "=", p.secret));
    return made;
  }
  // The bytes of the object, of a deflated one after it was inflated.
  std::string searchable(const fs::path& file) const {
    DcmFileFormat object;
    if (object.loadFile(file.c_str()).bad()) return {};
    if (object.getDataset()->getOriginalXfer() != EXS_DeflatedLittleEndianExplicit) return read_file(file);
    object.loadAllDataIntoMemory();
    object.saveFile((folder / "inflated.dcm").c_str(), EXS_LittleEndianExplicit);
    return read_file(folder / "inflated.dcm");
  }
  ScratchFolder folder;
};

TEST_F(Deidentify, NoPlantedIdentifierSurvivesInAnySyntax) {
  for (const MadeSyntax& syntax : made_syntaxes()) {
    SCOPED_TRACE(syntax.name);
    std::string bytes = make_run(planted_run(syntax.uid));
    bytes.replace(0, 15, "Quibble preambl");
    write_file_atomic(folder / "in.dcm", bytes);
    Deidentifier deidentifier({});
    const DeidentifyReport report = deidentifier.copy(folder / "in.dcm", folder / "out.dcm");
    EXPECT_EQ(report.pseudonym, "P1");
    EXPECT_FALSE(report.may_have_text);
    EXPECT_GE(report.removed_attributes, 20);
    ASSERT_NE(searchable(folder / "in.dcm").find("Nutmeg"), std::string::npos);
    const std::string found = searchable(folder / "out.dcm");
    for (const Planted& p : kPlanted) EXPECT_EQ(found.find(p.secret), std::string::npos) << p.attribute;
    for (const char* part : {"Quibble", "QUIBBLE", "Zebedee", "zq", "ZQ", "20191224", "Made^Up"}) {
      EXPECT_EQ(found.find(part), std::string::npos) << part;
    }
    const XaRun before(folder / "in.dcm"), after(folder / "out.dcm");
    EXPECT_EQ(after.header().source.transfer_syntax_uid, syntax.uid);
    for (int f = 0; f < 3; ++f) EXPECT_EQ(before.frame(f), after.frame(f));
    EXPECT_EQ(after.header().geometry.pixel_spacing_mm, (image::Spacing{0.21, 0.22}));
    EXPECT_EQ(after.header().geometry.primary_angle_deg, -32.0);
    EXPECT_EQ(after.header().frame_time_ms, before.header().frame_time_ms);
    EXPECT_EQ(after.header().pixel_intensity_relationship, "LIN");
    EXPECT_EQ(after.header().source.sop_class_uid, before.header().source.sop_class_uid);
    EXPECT_EQ(after.patient().name, "P1");
  }
}

TEST_F(Deidentify, UidsOfOneArchiveStayConsistent) {
  MadeRun made;
  made.attributes = {"SOPInstanceUID=1.2.9.1", "PatientID=A"};
  write_run(made, folder / "1.dcm");
  made.attributes = {"SOPInstanceUID=1.2.9.2", "PatientID=A",
                     "SourceImageSequence[0].ReferencedSOPInstanceUID=1.2.9.1"};
  write_run(made, folder / "2.dcm");
  made.attributes = {"SOPInstanceUID=1.2.9.3", "PatientID=B", "StudyInstanceUID=1.2.9.9"};
  write_run(made, folder / "3.dcm");
  Deidentifier deidentifier({});
  std::vector<Source> sources;
  for (const char* name : {"1", "2", "3"}) {
    const fs::path out = folder / concat(name, "_out.dcm");
    const DeidentifyReport report = deidentifier.copy(folder / concat(name, ".dcm"), out);
    EXPECT_EQ(report.pseudonym, std::string(name) == "3" ? "P2" : "P1");
    EXPECT_TRUE(report.may_have_text);  // the header says nothing of it
    sources.push_back(XaRun(out).header().source);
  }
  EXPECT_EQ(sources[0].study_uid, sources[1].study_uid);
  EXPECT_EQ(sources[0].series_uid, sources[2].series_uid);
  EXPECT_NE(sources[0].study_uid, sources[2].study_uid);
  EXPECT_NE(read_file(folder / "2_out.dcm").find(sources[0].sop_instance_uid), std::string::npos);
  Deidentifier another({});
  another.copy(folder / "1.dcm", folder / "again.dcm");
  EXPECT_NE(XaRun(folder / "again.dcm").header().source.study_uid, sources[0].study_uid);
}

// "20200228" as days.
std::chrono::sys_days days_of(const std::string& date) {
  using namespace std::chrono;
  return sys_days{year{std::stoi(date.substr(0, 4))} / std::stoi(date.substr(4, 2)) / std::stoi(date.substr(6, 2))};
}

TEST_F(Deidentify, ShiftedDatesKeepTheirIntervals) {
  using std::chrono::days;
  Deidentifier deidentifier({Dates::kShifted});
  int copies = 0;
  // Days by which the study date moved; the content date must stay two days before it, over a leap day.
  const auto shift_of = [&](const char* patient) {
    MadeRun made;
    made.attributes = {
        "StudyDate=20200301",        "ContentDate=20200228",        "StudyTime=101500",
        "PatientBirthDate=19500101", concat("PatientID=", patient), concat("SOPInstanceUID=1.2.9.", ++copies)};
    write_run(made, folder / "in.dcm");
    deidentifier.copy(folder / "in.dcm", folder / "out.dcm");
    const Patient moved = XaRun(folder / "out.dcm").patient();
    EXPECT_EQ(moved.study_time, "101500");
    EXPECT_EQ(moved.birth_date, "");
    const std::string bytes = read_file(folder / "out.dcm");
    const std::size_t content = bytes.find(std::string("\x08\0\x23\0DA\x08\0", 8));
    if (moved.study_date.size() != 8 || content == std::string::npos) {
      ADD_FAILURE() << "a date is missing";
      return days{};
    }
    EXPECT_EQ(days_of(moved.study_date) - days_of(bytes.substr(content + 8, 8)), days{2});
    return days_of("20200301") - days_of(moved.study_date);
  };
  const days first = shift_of("A"), again = shift_of("A"), other = shift_of("B"), third = shift_of("C");
  EXPECT_GE(first, days{365});
  EXPECT_EQ(first, again);
  EXPECT_FALSE(first == other && first == third);  // each is random, of ten years' days
}

TEST_F(Deidentify, BurnedInTextIsRefusedUnlessAllowed) {
  MadeRun made;
  made.attributes = {"BurnedInAnnotation=YES"};
  write_run(made, folder / "in.dcm");
  EXPECT_THROW(Deidentifier({}).copy(folder / "in.dcm", folder / "out.dcm"), Error);
  EXPECT_FALSE(fs::exists(folder / "out.dcm"));
  Deidentifier allowing({Dates::kRemoved, true});
  EXPECT_TRUE(allowing.copy(folder / "in.dcm", folder / "out.dcm").may_have_text);
  EXPECT_THROW(allowing.copy(folder / "out.dcm", folder / "out.dcm"), Error);
}

TEST_F(Deidentify, CommentsWithinFramesAreCleared) {
  const std::string secret = "Quibble";
  std::vector<std::uint8_t> jpeg{0xff, 0xd8, 0xff, 0xfe, 0, 9};
  jpeg.insert(jpeg.end(), secret.begin(), secret.end());
  const std::vector<std::uint8_t> kept{0xff, 0xee, 0, 4, 1, 2};  // a colour transform
  jpeg.insert(jpeg.end(), kept.begin(), kept.end());
  EXPECT_EQ(clear_comments(jpeg), 1);
  EXPECT_EQ(std::search(jpeg.begin(), jpeg.end(), secret.begin(), secret.end()), jpeg.end());
  EXPECT_TRUE(std::equal(kept.rbegin(), kept.rend(), jpeg.rbegin()));
  EXPECT_EQ(clear_comments(jpeg), 0);
  std::vector<std::uint8_t> cut{0xff, 0xd8, 0xff, 0xfe, 0, 200, 'Q'};
  EXPECT_EQ(clear_comments(cut), 0);
  // OpenJPEG writes its name into every code stream.
  MadeRun made;
  made.syntax = "1.2.840.10008.1.2.4.90";
  write_run(made, folder / "in.dcm");
  Deidentifier deidentifier({});
  EXPECT_EQ(deidentifier.copy(folder / "in.dcm", folder / "out.dcm").cleared_comments, 3);
  EXPECT_EQ(read_file(folder / "out.dcm").find("OpenJPEG"), std::string::npos);
  EXPECT_EQ(XaRun(folder / "out.dcm").frame(2), XaRun(folder / "in.dcm").frame(2));
}

TEST_F(Deidentify, CommentsBehindTheFirstScanAndTheEndAreCleared) {
  using Bytes = std::vector<std::uint8_t>;
  const Bytes comment{0xff, 0xfe, 0, 5, 'Q', 'u', 'i'}, blank{0xff, 0xfe, 0, 5, 0, 0, 0};
  // Byte pairs that are no marker within a scan. In JPEG-LS any byte below 0x80 may follow FF, here as if it were data
  // of a scan that is a comment in JPEG.
  const Bytes jpeg_scan{7, 0xff, 0, 0xff, 0xd3, 0xff, 0xff, 0xd0, 9}, jpeg_ls_scan{7, 0xff, 0x7f, 0xff, 0x01, 0, 3, 9};
  const Bytes jpeg_frame{0xff, 0xd8, 0xff, 0xc3, 0, 3, 1}, jpeg_ls_frame{0xff, 0xd8, 0xff, 0xf7, 0, 3, 1};
  const auto joined = [](const std::vector<Bytes>& parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const Bytes scan_header{0xff, 0xda, 0, 3, 1}, end{0xff, 0xd9}, trailer{'Q', 'u', 0xff, 0xd8}, no_trailer{0, 0, 0, 0};
  for (const auto& [frame, scan] : {std::pair(jpeg_frame, jpeg_scan), std::pair(jpeg_ls_frame, jpeg_ls_scan)}) {
    const auto stream = [&](const Bytes& text, const Bytes& behind) {
      return joined({frame, text, scan_header, scan, text, scan_header, scan, text, end, behind});
    };
    Bytes bytes = stream(comment, trailer);
    EXPECT_EQ(clear_comments(bytes), 4);
    EXPECT_EQ(bytes, stream(blank, no_trailer));
    EXPECT_EQ(clear_comments(bytes), 0);
  }
  for (const std::uint8_t length : {std::uint8_t{17}, std::uint8_t{0}}) {  // of the tile-part; 0: up to the end
    const Bytes start{0xff, 0x4f, 0xff, 0x90, 0, 10, 0, 0, 0, 0, 0, length, 0, 1, 0xff, 0x93, 7, 0xff, 0x8f};
    Bytes bytes = joined({start, end, trailer});
    EXPECT_EQ(clear_comments(bytes), 1);
    EXPECT_EQ(bytes, joined({start, end, no_trailer}));
  }
}

TEST_F(Deidentify, CommentsWithinRealCodeStreamsLeaveThePixels) {
  for (const MadeSyntax& syntax : made_syntaxes()) {
    if (std::string(syntax.name).find("JPEG") == std::string::npos) continue;
    SCOPED_TRACE(syntax.name);
    MadeRun made;
    made.syntax = syntax.uid;
    made.frames = 1, made.height = made.width = 64;
    std::string bytes = make_run(made);
    const std::size_t end = bytes.rfind("\xff\xd9");
    ASSERT_NE(end, std::string::npos);
    const std::size_t item = bytes.rfind(std::string("\xfe\xff\x00\xe0", 4), end);
    const std::size_t sequence_end = bytes.rfind(std::string("\xfe\xff\xdd\xe0", 4));
    // A comment before the end of the image, where JPEG has segments, and a text behind it.
    const bool is_jpeg2000 = std::string(syntax.name) == "JPEG 2000";
    const std::string frame = bytes.substr(item + 8, end - item - 8) +
                              (is_jpeg2000 ? "" : std::string("\xff\xfe\0\x0aZebedee!", 12)) + "\xff\xd9" + "Quibble!";
    const std::string padded = frame + (frame.size() % 2 != 0 ? "!" : "");
    bytes = bytes.substr(0, item + 4) + little(padded.size(), 4) + padded + bytes.substr(sequence_end);
    write_file_atomic(folder / "in.dcm", bytes);
    Deidentifier({}).copy(folder / "in.dcm", folder / "out.dcm");
    const std::string out = read_file(folder / "out.dcm");
    for (const char* secret : {"Quibble", "Zebedee"}) EXPECT_EQ(out.find(secret), std::string::npos) << secret;
    EXPECT_EQ(XaRun(folder / "out.dcm").frame(0), XaRun(folder / "in.dcm").frame(0));
  }
}

TEST_F(Deidentify, OverlaysInUnusedBitsAreCleared) {
  struct Row {
    const char* syntax;
    bool is_signed;
    const char *before, *after;
  };
  MadeRun made;
  made.bits_allocated = 16, made.bits_stored = 12, made.high_bit = 11;
  made.cell = [](int, int, int, int) { return 0x4abc; };
  made.attributes = {"(6000,0100)=16", "(6000,0102)=14"};
  for (const Row& row : {Row{"1.2.840.10008.1.2", false, "\xbc\x4a\xbc\x4a", "\xbc\x0a\xbc\x0a"},
                         Row{"1.2.840.10008.1.2.1", true, "\xbc\x4a\xbc\x4a", "\xbc\xfa\xbc\xfa"},
                         Row{"1.2.840.10008.1.2.2", false, "\x4a\xbc\x4a\xbc", "\x0a\xbc\x0a\xbc"}}) {
    SCOPED_TRACE(row.syntax);
    made.syntax = row.syntax;
    made.is_signed = row.is_signed;
    write_run(made, folder / "in.dcm");
    ASSERT_NE(read_file(folder / "in.dcm").find(row.before), std::string::npos);
    Deidentifier({}).copy(folder / "in.dcm", folder / "out.dcm");
    const std::string bytes = read_file(folder / "out.dcm");
    EXPECT_EQ(bytes.find(row.before), std::string::npos);
    EXPECT_NE(bytes.find(row.after), std::string::npos);
    for (int f = 0; f < 3; ++f) EXPECT_EQ(XaRun(folder / "out.dcm").frame(f), XaRun(folder / "in.dcm").frame(f));
  }
  made.is_signed = false;
  made.syntax = "1.2.840.10008.1.2.5";  // RLE, which keeps whole cells
  write_run(made, folder / "in.dcm");
  try {
    Deidentifier({}).copy(folder / "in.dcm", folder / "rle.dcm");
    ADD_FAILURE() << "was copied";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("dcmdrle"));
  }
  EXPECT_FALSE(fs::exists(folder / "rle.dcm"));
}

TEST_F(Deidentify, BytesBehindTheLastFrameAreCleared) {
  MadeRun made;
  std::string bytes = make_run(made);  // native pixel data end the file
  const std::uint32_t length = 3 * 12 * 20;
  const std::size_t at = bytes.size() - length - 4;
  ASSERT_EQ(bytes.substr(at, 4), little(length, 4));
  bytes.replace(at, 4, little(length + 8, 4));
  write_file_atomic(folder / "in.dcm", bytes + "Quibble!");
  Deidentifier({}).copy(folder / "in.dcm", folder / "out.dcm");
  EXPECT_EQ(read_file(folder / "out.dcm").find("Quibble"), std::string::npos);
  EXPECT_EQ(XaRun(folder / "out.dcm").frame(2), XaRun(folder / "in.dcm").frame(2));
}

TEST_F(Deidentify, CommentsInTilePartHeadersAreCleared) {
  const std::string secret = "Quibble";
  std::vector<std::uint8_t> stream{0xff, 0x4f};  // SOC; then two tile-parts, the second of which reaches to the end
  for (const std::uint8_t length : {std::uint8_t{28}, std::uint8_t{0}}) {
    const std::uint8_t start[] = {0xff, 0x90, 0, 10, 0, 0, 0, 0, 0, length, 0, 1, 0xff, 0x64, 0, 11, 0, 1};
    stream.insert(stream.end(), std::begin(start), std::end(start));
    stream.insert(stream.end(), secret.begin(), secret.end());
    const std::uint8_t data[] = {0xff, 0x93, 7};
    stream.insert(stream.end(), std::begin(data), std::end(data));
  }
  const std::vector<std::uint8_t> before = stream;
  EXPECT_EQ(clear_comments(stream), 2);
  EXPECT_EQ(std::search(stream.begin(), stream.end(), secret.begin(), secret.end()), stream.end());
  EXPECT_EQ(stream.size(), before.size());
  EXPECT_EQ(stream.back(), 7);
}

TEST_F(Deidentify, FramesInJp2FilesAreRefused) {
  MadeRun made;
  made.syntax = "1.2.840.10008.1.2.4.90";
  made.frames = 1;
  std::string bytes = make_run(made);
  const std::string boxes("\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0jp2c", 20);  // signature, and a code stream up to the end
  const std::size_t at = bytes.find("\xff\x4f\xff\x51");
  ASSERT_NE(at, std::string::npos);
  std::uint32_t length = 0;  // of the fragment, in the four bytes before it
  for (std::size_t i = 0; i < 4; ++i) length |= std::uint32_t{static_cast<std::uint8_t>(bytes[at - 4 + i])} << (8 * i);
  bytes.replace(at - 4, 4, little(length + boxes.size(), 4));
  bytes.insert(at, boxes);
  write_file_atomic(folder / "in.dcm", bytes);
  EXPECT_EQ(XaRun(folder / "in.dcm").frame(0).at(0, 1), static_cast<float>(made.cell(0, 0, 1, 0)));
  try {
    Deidentifier({}).copy(folder / "in.dcm", folder / "out.dcm");
    ADD_FAILURE() << "was copied";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("JP2"));
  }
  EXPECT_FALSE(fs::exists(folder / "out.dcm"));
}

TEST_F(Deidentify, ARealRunStaysValid) {
  const fs::path real = fs::path(CMUNET_SHARED_DATA) / "dicom_xa/rubo/rubo_0002_xa_96f_jpegbaseline.dcm";
  if (!fs::exists(real)) GTEST_SKIP() << "no data at " << real;
  Deidentifier deidentifier({});
  deidentifier.copy(real, folder / "out.dcm");
  EXPECT_EQ(XaRun(folder / "out.dcm").frame(70), XaRun(real).frame(70));
  const std::string bytes = read_file(folder / "out.dcm");
  for (const char* secret : {"Rubo", "556342B", "19951025", "19941013", "1.3.12.2.1107", "CARDIO"}) {
    EXPECT_EQ(bytes.find(secret), std::string::npos) << secret;
  }
}

}  // namespace
}  // namespace cmunet::dicom
