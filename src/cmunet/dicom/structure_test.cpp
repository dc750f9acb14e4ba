// SPDX-License-Identifier: Apache-2.0
// Files made to exhaust memory, stack or time, or to be read beyond their end.
#include "cmunet/dicom/structure.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrmf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/peak_memory.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/dicom/deidentify.h"
#include "cmunet/dicom/made_bytes.h"
#include "cmunet/dicom/made_run.h"
#include "cmunet/dicom/xa.h"

namespace cmunet::dicom {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kExplicit = "1.2.840.10008.1.2.1";
constexpr const char* kImplicit = "1.2.840.10008.1.2";
constexpr const char* kDeflated = "1.2.840.10008.1.2.1.99";
constexpr const char* kRle = "1.2.840.10008.1.2.5";
constexpr const char* kJpegLossless = "1.2.840.10008.1.2.4.70";
constexpr const char* kJpeg2000 = "1.2.840.10008.1.2.4.90";

class Structure : public testing::Test {
 protected:
  // Reads the file in a process of its own, which must end with an error of this kind and hardly any memory.
  void expect_refused(const std::string& bytes, ErrorCode code, const std::string& message) {
    write_file_atomic(file, bytes);
    const int outcome = run_in_child([&] {
      const std::int64_t before = peak_kib();
      ErrorCode seen = ErrorCode::kInternal;
      try {
        const XaRun run(file);
        for (int f = 0; f < run.header().frames; ++f) run.frame(f);
        return 100;
      } catch (const Error& error) {
        seen = std::string(error.what()).find(message) == std::string::npos ? ErrorCode::kInternal : error.code();
        if (seen == ErrorCode::kInternal) std::fputs(error.what(), stderr);
      }
      if (peak_kib() - before > 64 * 1024 + kSanitizer_kib) return 101;
      return static_cast<int>(seen);
    });
    EXPECT_NE(outcome, 100) << "was read";
    EXPECT_NE(outcome, 101) << "took more than 64 MiB";
    EXPECT_EQ(outcome, static_cast<int>(code)) << message;
    EXPECT_NO_THROW(find_runs(folder.path()));
    try {
      check_structure(file, Part::kWhole);
    } catch (const Error&) {
      EXPECT_THROW(Deidentifier({}).copy(file, folder / "copy.dcm"), Error);
    }
  }
  static std::string repeated(int times, const std::string& part) {
    std::string bytes;
    for (int i = 0; i < times; ++i) bytes += part;
    return bytes;
  }
  ScratchFolder folder;
  fs::path file = folder / "hostile.dcm";
};

TEST_F(Structure, SizesThatAreOnlyClaimed) {
  const auto run = [](std::uint32_t rows, std::uint32_t columns, std::string_view frames) {
    return made_file_head(kExplicit) + made_run_head(rows, columns, frames) + made_element(0x7fe00010, "OB", "four");
  };
  expect_refused(run(65535, 65535, "65535"), ErrorCode::kUnsupported, "65535x65535");
  expect_refused(run(4096, 4096, "65535"), ErrorCode::kCorrupt, "a frame needs 16777216");
  expect_refused(run(0x10001, 1, "1"), ErrorCode::kCorrupt, "from 1 to 65535");
  expect_refused(run(0xffffffff, 2, "1"), ErrorCode::kCorrupt, "from 1 to 65535");
  expect_refused(run(2, 2, "99999999999"), ErrorCode::kCorrupt, "NumberOfFrames");
}

TEST_F(Structure, LengthsBeyondTheEnd) {
  const std::string head = made_file_head(kExplicit);
  for (const char* vr : {"UT", "OB", "UN", "OW", "OF"}) {
    for (const std::uint32_t length : {0xfffffffeU, 0x80000000U, 0x7ffffffeU, 100U}) {
      expect_refused(head + made_head(0x00081030, vr, length) + "short", ErrorCode::kCorrupt, "(0008,1030)");
    }
  }
  expect_refused(head + made_head(0x00081030, "UT", kOpenLength) + "short", ErrorCode::kCorrupt, "claims 4294967295");
  expect_refused(head + made_head(0x00082218, "SQ", 24) + made_item(kItem, 16) + made_head(0x00080100, "SH", 200) +
                     std::string(400, 'x'),
                 ErrorCode::kCorrupt, "its item has 8");
  expect_refused(head.substr(0, 140), ErrorCode::kCorrupt, "");
  expect_refused(std::string(128, '\0') + "DICM" + made_head(0x00020102, "SQ", kOpenLength) + made_item(kItem, 0),
                 ErrorCode::kCorrupt, "file meta header");
}

TEST_F(Structure, AMillionItems) {
  constexpr int kMany = 1'000'000;
  const std::string head = made_file_head(kExplicit), sequence = made_head(0x00082218, "SQ", kOpenLength);
  const std::string item = made_item(kItem, kOpenLength);
  expect_refused(head + repeated(kMany, sequence + item), ErrorCode::kUnsupported, "nested more than 32");
  const std::string unknown = made_head(0x00091001, "UN", kOpenLength) + item;
  const std::string implicit = made_item(0x00082218, kOpenLength) + item;
  expect_refused(head + unknown + repeated(kMany, implicit), ErrorCode::kUnsupported, "nested more than 32");
  expect_refused(made_file_head(kImplicit) + repeated(kMany, implicit), ErrorCode::kUnsupported, "nested more than 32");
  expect_refused(head + sequence + repeated(kMany, made_item(kItem, 0)), ErrorCode::kUnsupported, "more than 500000");
  std::string elements = head;
  for (std::uint32_t i = 0; i < kMany; ++i) elements += made_head(0x00090000 + (i << 8 & 0xffff) + (i >> 8), "LO", 0);
  expect_refused(elements, ErrorCode::kUnsupported, "out of order");
  expect_refused(head + made_head(0x7fe00010, "OB", kOpenLength) + repeated(kMany, made_item(kItem, 0)),
                 ErrorCode::kUnsupported, "more than 500000");
}

TEST_F(Structure, LengthsOfNestedItemsAddUp) {
  // Defined lengths, innermost first: each level is right about itself.
  std::string nested;
  for (int i = 0; i < 2000; ++i) {
    const std::string item = made_item(kItem, static_cast<std::uint32_t>(nested.size())) + nested;
    nested = made_head(0x00082218, "SQ", static_cast<std::uint32_t>(item.size())) + item;
  }
  expect_refused(made_file_head(kExplicit) + nested, ErrorCode::kUnsupported, "nested more than 32");
}

// Deflates by DCMTK what follows a file head.
void write_deflated(const fs::path& file, const std::string& head, const std::string& part, int times) {
  DcmOutputFileStream out(file.c_str());
  out.write(head.data(), static_cast<offile_off_t>(head.size()));
  ASSERT_TRUE(out.installCompressionFilter(ESC_zlib).good());
  for (int i = 0; i < times; ++i) {
    for (std::size_t at = 0; at < part.size();) {
      at += static_cast<std::size_t>(out.write(part.data() + at, static_cast<offile_off_t>(part.size() - at)));
    }
  }
  out.flush();
}

TEST_F(Structure, DeflatedBombs) {
  const std::string head = made_file_head(kDeflated);
  const fs::path bomb = folder / "bomb";
  const std::string zeros(1 << 20, '\0');
  write_deflated(bomb, head, made_head(0x7fe00010, "OB", 200U << 20) + zeros, 200);
  const std::string bytes = read_file(bomb);
  ASSERT_LT(bytes.size(), 300U << 10);
  expect_refused(bytes, ErrorCode::kUnsupported, "so much is not inflated");
  // A long value is believed only when its bytes are there.
  write_deflated(bomb, head, made_head(0x00081030, "UT", 0xfffffff0) + "text", 1);
  expect_refused(read_file(bomb), ErrorCode::kCorrupt, "claims 4294967280 bytes; 4 are there");
  write_deflated(bomb, head, made_run_head(64, 64, "1") + made_head(0x7fe00010, "OB", 0x7ffffff0) + "four", 1);
  expect_refused(read_file(bomb), ErrorCode::kCorrupt, "claims 2147483632 bytes; 4 are there");
  expect_refused(head + "this is not deflated at all", ErrorCode::kCorrupt, "");
}

TEST_F(Structure, ValueRepresentationsThatAreNone) {
  const std::string head = made_file_head(kExplicit);
  for (const char* vr : {"??", "na", "it", "\1\2", "zz", "Pi", "Ov", "ox", "  "}) {
    for (const std::uint32_t tag : {0x00081030U, 0x7fe00010U, 0x60003000U, 0x00283010U}) {
      const std::string begin = little(tag >> 16, 2) + little(tag & 0xffff, 2) + vr;
      for (const std::string& length : {little(0xffff, 2), little(0, 2) + little(kOpenLength, 4)}) {
        write_file_atomic(file, head + begin + length + std::string(64, 'A'));
        EXPECT_THROW(XaRun{file}, Error) << vr;
      }
    }
  }
  expect_refused(made_file_head("1.2.3.4.5") + made_run_head(2, 2, "1"), ErrorCode::kUnsupported,
                 "1.2.3.4.5 (unknown) is not read");
  expect_refused(std::string(128, '\0') + "DICM" + made_element(0x00020010, "UT", kExplicit) + made_run_head(2, 2, "1"),
                 ErrorCode::kCorrupt, "no UID");
}

std::string in_fragments(const std::string& table, const std::vector<std::string>& fragments) {
  std::string bytes = made_head(0x7fe00010, "OB", kOpenLength);
  bytes += made_item(kItem, static_cast<std::uint32_t>(table.size())) + table;
  for (const std::string& f : fragments) bytes += made_item(kItem, static_cast<std::uint32_t>(f.size())) + f;
  return bytes + made_item(kSequenceEnd, 0);
}

TEST_F(Structure, RleSegmentsOutsideTheirFrame) {
  const auto frame = [&](std::uint32_t segments, std::uint32_t offset, const std::string& data) {
    std::string header = little(segments, 4) + little(offset, 4);
    header.resize(64);
    return made_file_head(kRle) + made_run_head(16, 16, "1") + in_fragments("", {header + data});
  };
  const std::string black(32, '\x81');  // 129 times the next byte, wrongly ended
  expect_refused(frame(1, 64, "\x7f"), ErrorCode::kCorrupt, "decoded");
  expect_refused(frame(1, 0xfffffff0, black), ErrorCode::kCorrupt, "decoded");
  expect_refused(frame(1, 60, black), ErrorCode::kCorrupt, "decoded");
  expect_refused(frame(0xffffffff, 64, black), ErrorCode::kCorrupt, "decoded");
  expect_refused(frame(15, 64, black), ErrorCode::kCorrupt, "decoded");
}

TEST_F(Structure, CodeStreamsThatLie) {
  const auto jpeg = [](int height, int width, int components) {
    return std::string("\xff\xd8\xff\xc3\0\x0b\x08", 7) + static_cast<char>(height >> 8) + static_cast<char>(height) +
           static_cast<char>(width >> 8) + static_cast<char>(width) + static_cast<char>(components) +
           std::string("\x01\x11\0\xff\xda\0\x08\x01\x01\0\x01\0\0", 13) + "xx";
  };
  const std::string head = made_file_head(kJpegLossless) + made_run_head(16, 16, "1");
  expect_refused(head + in_fragments("", {jpeg(65535, 65535, 1)}), ErrorCode::kCorrupt, "65535x65535");
  expect_refused(head + in_fragments("", {jpeg(16, 16, 255)}), ErrorCode::kCorrupt, "255 component");
  expect_refused(head + in_fragments("", {std::string("\xff\xd8\xff\xc3\xff\xff\x08\0", 8)}), ErrorCode::kCorrupt, "");
  expect_refused(head + in_fragments("", {"\xff\xd8\xff\xe0" + std::string(200, '\xff')}), ErrorCode::kCorrupt, "");
  expect_refused(head + in_fragments("", {std::string(2 << 20, 'x')}), ErrorCode::kCorrupt, "bytes compressed");
  // A Huffman table with a symbol of 40 bits, of which DCMTK would look up a mask behind its array.
  const std::string table = std::string("\xff\xc4\0\x14\0\1", 6) + std::string(15, '\0') + "\x28";
  std::string lossless = jpeg(16, 16, 1);
  lossless.insert(15, table);
  expect_refused(head + in_fragments("", {lossless}), ErrorCode::kCorrupt, "Huffman table");
  const auto siz = [](std::uint32_t side, std::uint32_t tile, int components) {
    const auto big = [](std::uint32_t value, int size) {
      const std::string bytes = little(value, size);
      return std::string(bytes.rbegin(), bytes.rend());
    };
    return std::string("\xff\x4f\xff\x51", 4) + big(static_cast<std::uint32_t>(38 + 3 * components), 2) + big(0, 2) +
           big(side, 4) + big(side, 4) + big(0, 8) + big(tile, 4) + big(tile, 4) + big(0, 8) +
           big(static_cast<std::uint32_t>(components), 2) + std::string(1 << 16, '\x07');
  };
  const auto j2k = [&](std::uint32_t side, std::uint32_t tile, int components) {
    return made_file_head(kJpeg2000) + made_run_head(4096, 4096, "1") + in_fragments("", {siz(side, tile, components)});
  };
  expect_refused(j2k(0xffffffff, 1 << 20, 1), ErrorCode::kCorrupt, "the header says 4096x4096 with 1");
  expect_refused(j2k(4096, 4096, 16384), ErrorCode::kCorrupt, "16384 component");
  expect_refused(j2k(4096, 16, 1), ErrorCode::kUnsupported, "256x256 tiles");
  expect_refused(j2k(4096, 0, 1), ErrorCode::kUnsupported, "0x0 tiles");
}

TEST_F(Structure, OffsetTablesThatPointNowhere) {
  MadeRun made;
  made.syntax = kJpegLossless;
  made.frames = 3;
  made.fragments_per_frame = 2;
  const std::string bytes = make_run(made);
  const std::size_t at = bytes.find(made_head(0x7fe00010, "OB", kOpenLength)) + 12;
  ASSERT_EQ(bytes.substr(at, 4), made_item(kItem, 12).substr(0, 4));
  for (const std::string& table :
       {std::string(12, '\xff'), std::string(4000, '\0'), std::string("abc"), std::string()}) {
    const std::string padded = table.size() % 2 == 0 ? table : table + '\0';
    write_file_atomic(file, bytes.substr(0, at) + made_item(kItem, static_cast<std::uint32_t>(padded.size())) + padded +
                                bytes.substr(at + 20));
    const XaRun run(file);
    ASSERT_EQ(run.header().frames, 3);
    EXPECT_EQ(run.stored_frame(2).at(3, 4), static_cast<float>(made.cell(2, 3, 4, 0)));
  }
  write_file_atomic(file, bytes.substr(0, at) + made_item(kItem, 0xfffffff0) + bytes.substr(at + 8));
  EXPECT_THROW(XaRun{file}, Error);
}

TEST_F(Structure, WhatDevicesWriteIsStillRead) {
  for (const MadeSyntax& syntax : made_syntaxes()) {
    MadeRun made;
    made.syntax = syntax.uid;
    made.attributes = {
        "SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeValue=1"};
    write_run(made, file);
    EXPECT_NO_THROW(check_structure(file, Part::kWhole)) << syntax.name;
    EXPECT_NO_THROW(check_structure(file, Part::kHeader)) << syntax.name;
  }
  // What follows the pixel data is not read, whatever it is.
  MadeRun made;
  write_file_atomic(file, make_run(made) + made_head(0xfffcfffc, "OB", 0xfffffff0) + "xx");
  EXPECT_EQ(XaRun(file).header().frames, 3);
  EXPECT_THROW(check_structure(folder.path(), Part::kWhole), Error);
  EXPECT_THROW(check_structure(folder / "absent", Part::kWhole), Error);
}

}  // namespace
}  // namespace cmunet::dicom
