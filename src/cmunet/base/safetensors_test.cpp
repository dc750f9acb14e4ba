// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/hash.h"
#include "cmunet/base/json.h"
#include "cmunet/base/random.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet {
namespace {

using testing::HasSubstr;

void write_plain(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A file from its parts, right or wrong.
std::string file_bytes(std::uint64_t header_length, std::string_view header, std::string_view data) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &header_length, 8);
  bytes += header;
  bytes += data;
  return bytes;
}

std::string file_bytes(std::string_view header, std::string_view data) {
  return file_bytes(header.size(), header, data);
}

// Opens the file and touches everything in it; returns the message of the error, or "" when it was accepted.
std::string open_and_read_all(const std::filesystem::path& path) {
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const TensorRef& tensor : file.tensors()) {
      EXPECT_EQ(hash_hex(file.at(tensor.name).bytes), hash_hex(tensor.bytes));
      EXPECT_GE(tensor.element_count(), 0);
    }
    return "";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << e.what();
    return e.message();
  }
}

constexpr std::string_view kGoodEntry = R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})";

TEST(Safetensors, RestoresEveryDtypeWithItsMetadata) {
  const ScratchFolder scratch;
  std::vector<std::byte> payload(8 * 6);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 37);
  const std::vector<DType> dtypes{DType::kF64,  DType::kI64, DType::kF32, DType::kI32, DType::kF16,
                                  DType::kBF16, DType::kI16, DType::kI8,  DType::kU8,  DType::kBool};
  std::vector<TensorRef> tensors;
  for (const DType dtype : dtypes) {
    tensors.push_back({std::string(to_string(dtype)), dtype, {2, 3}, std::span(payload).first(6 * size_of(dtype))});
  }
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"quote \" and é", "line\nbreak"}};
  write_safetensors(scratch / "a", tensors, metadata);

  const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorRef& tensor = file.at(tensors[i].name);
    EXPECT_EQ(file.tensors()[i].name, tensors[i].name) << "the order of writing is kept";
    EXPECT_EQ(tensor.dtype, tensors[i].dtype);
    EXPECT_EQ(tensor.shape, tensors[i].shape);
    EXPECT_EQ(tensor.element_count(), 6);
    EXPECT_TRUE(std::equal(tensor.bytes.begin(), tensor.bytes.end(), tensors[i].bytes.begin(), tensors[i].bytes.end()));
  }
}

TEST(Safetensors, KeepsScalarsAndEmptyTensors) {
  const ScratchFolder scratch;
  const std::vector<float> one{4.5F};
  const std::vector<TensorRef> tensors{
      {"empty_first", DType::kF32, {0, 7}, {}},
      {"scalar", DType::kF32, {}, std::as_bytes(std::span(one))},
      {"empty_last", DType::kI64, {3, 0}, {}},
  };
  write_safetensors(scratch / "a", tensors, {});
  const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
  EXPECT_EQ(file.at("scalar").as<float>()[0], 4.5F);
  EXPECT_EQ(file.at("empty_first").element_count(), 0);
  EXPECT_EQ(file.at("empty_last").shape, (std::vector<std::int64_t>{3, 0}));
  EXPECT_TRUE(file.metadata().empty());

  write_safetensors(scratch / "none", {}, {});
  const SafetensorsFile none = SafetensorsFile::open(scratch / "none");
  EXPECT_TRUE(none.tensors().empty());
}

// A file as the reference implementation for Python writes it: header padded by spaces to a multiple of eight.
TEST(Safetensors, ReadsAFileOfTheReferenceImplementation) {
  const ScratchFolder scratch;
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("a":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}  )";
  write_plain(scratch / "a", file_bytes(header, std::string("\0\0\x80\x3f\x07\x09", 6)));
  const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
  EXPECT_EQ(file.at("b").as<float>()[0], 1.0F);
  EXPECT_EQ(file.at("a").as<std::uint8_t>()[1], 9);
}

TEST(Safetensors, AlignsItsData) {
  const ScratchFolder scratch;
  for (std::size_t length = 1; length < 70; ++length) {
    const std::vector<double> values{1, 2};
    const TensorRef tensor{std::string(length, 'n'), DType::kF64, {2}, std::as_bytes(std::span(values))};
    write_safetensors(scratch / "a", std::span(&tensor, 1), {});
    const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.tensors()[0].bytes.data()) % 64, 0U);
    EXPECT_EQ(file.tensors()[0].as<double>()[1], 2);
  }
}

TEST(Safetensors, RefusesElementsOfTheWrongSizeOrAlignment) {
  const ScratchFolder scratch;
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  write_plain(scratch / "a", file_bytes(header, "12345"));
  const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
  const auto code_of = [](const auto& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of([&] { file.at("a").as<float>(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { file.at("no such tensor"); }), ErrorCode::kCorrupt);
  const bool aligned = reinterpret_cast<std::uintptr_t>(file.at("b").bytes.data()) % alignof(float) == 0;
  EXPECT_EQ(code_of([&] { file.at("b").as<float>(); }), aligned ? ErrorCode::kInternal : ErrorCode::kUnsupported);
}

TEST(Safetensors, StaysMappedWhileACopyLives) {
  const ScratchFolder scratch;
  write_plain(scratch / "a", file_bytes(concat(R"({"a":)", kGoodEntry, "}"), "xy"));
  TensorRef tensor;
  SafetensorsFile copy;
  {
    const SafetensorsFile file = SafetensorsFile::open(scratch / "a");
    copy = file;
    tensor = file.at("a");
  }
  std::filesystem::remove(scratch / "a");
  EXPECT_EQ(std::to_integer<char>(tensor.bytes[1]), 'y');
}

TEST(Safetensors, RefusesToWriteWhatItWouldNotRead) {
  const ScratchFolder scratch;
  const std::vector<std::byte> bytes(8);
  const TensorRef good{"a", DType::kF32, {2}, bytes};
  const auto write = [&](std::vector<TensorRef> tensors) { write_safetensors(scratch / "a", tensors, {}); };
  EXPECT_THROW(write({good, good}), Error) << "one name twice";
  EXPECT_THROW(write({{"a", DType::kF32, {3}, bytes}}), Error) << "too few bytes";
  EXPECT_THROW(write({{"a", DType::kF32, {-2}, bytes}}), Error) << "negative shape";
  EXPECT_THROW(write({{"__metadata__", DType::kF32, {2}, bytes}}), Error) << "a reserved name";
  EXPECT_FALSE(std::filesystem::exists(scratch / "a"));
}

struct BadFile {
  std::string name;
  std::string bytes;
  std::string message;  // a part of the error's text
};

class SafetensorsCorruption : public testing::TestWithParam<BadFile> {};

TEST_P(SafetensorsCorruption, IsRefusedWithItsReason) {
  const ScratchFolder scratch;
  write_plain(scratch / "a", GetParam().bytes);
  EXPECT_THAT(open_and_read_all(scratch / "a"), HasSubstr(GetParam().message));
}

std::string one_tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return concat(R"({"a":{"dtype":)", dtype, R"(,"shape":)", shape, R"(,"data_offsets":)", offsets, "}}");
}

std::string two_tensors(std::string_view offsets_a, std::string_view offsets_b) {
  return concat(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)", offsets_a,
                R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)", offsets_b, "}}");
}

std::vector<BadFile> bad_files() {
  const std::string u8 = R"("U8")";
  return {
      {"Empty", "", "only 0 bytes"},
      {"SevenBytes", "1234567", "only 7 bytes"},
      {"HugeHeader", file_bytes(~std::uint64_t{0}, "{}", ""), "header of"},
      {"HeaderAboveTheLimit", file_bytes(100'000'001, std::string(100'000'001, ' '), ""), "header of"},
      {"HeaderPastTheEnd", file_bytes(3, "{}", ""), "header of"},
      {"NoHeader", file_bytes(0, "", ""), "not valid JSON"},
      {"NotJson", file_bytes("hello", ""), "not valid JSON"},
      {"NotAnObject", file_bytes("[1, 2]", ""), "not a JSON object"},
      {"NotUtf8", file_bytes("{\"\xff\":1}", ""), "not valid JSON"},
      {"HugeNumber", file_bytes(one_tensor(u8, "[1e999]", "[0,2]"), "xy"), "not valid JSON"},
      {"DeepNesting", file_bytes(std::string(1'000'000, '['), ""), "header"},
      {"DeepObjects", file_bytes(one_tensor(u8, "[[[[[[[[[[2]]]]]]]]]]", "[0,2]"), "xy"), "nested too deeply"},
      {"EntryIsANumber", file_bytes(R"({"a":1})", ""), "needs dtype, shape"},
      {"NoDtype", file_bytes(R"({"a":{"shape":[2],"data_offsets":[0,2]}})", "xy"), "needs dtype, shape"},
      {"ThreeOffsets", file_bytes(one_tensor(u8, "[2]", "[0,2,2]"), "xy"), "two data_offsets"},
      {"UnknownDtype", file_bytes(one_tensor(R"("U9")", "[2]", "[0,2]"), "xy"), "unknown dtype 'U9'"},
      {"NegativeShape", file_bytes(one_tensor(u8, "[-2]", "[0,2]"), "xy"), "not whole numbers"},
      {"FractionalShape", file_bytes(one_tensor(u8, "[2.0]", "[0,2]"), "xy"), "not whole numbers"},
      {"TextShape", file_bytes(one_tensor(u8, R"(["2"])", "[0,2]"), "xy"), "not whole numbers"},
      {"NegativeOffset", file_bytes(one_tensor(u8, "[2]", "[-2,0]"), "xy"), "not whole numbers"},
      {"ProductOverflows", file_bytes(one_tensor(u8, "[4294967296,4294967296]", "[0,0]"), ""), "too large"},
      {"ItemSizeOverflows", file_bytes(one_tensor(R"("F64")", "[2305843009213693952]", "[0,0]"), ""), "too large"},
      {"ShapeBeyondInt64", file_bytes(one_tensor(u8, "[18446744073709551615]", "[0,2]"), "xy"), "too large"},
      {"ShapeAndBytesDiffer", file_bytes(one_tensor(u8, "[3]", "[0,2]"), "xy"), "its shape needs 3"},
      {"OffsetPastTheEnd", file_bytes(one_tensor(u8, "[3]", "[0,3]"), "xy"), "spans bytes"},
      {"OffsetNearOverflow", file_bytes(one_tensor(u8, "[2]", "[18446744073709551614,18446744073709551615]"), "xy"),
       "spans bytes"},
      {"OffsetsReversed", file_bytes(one_tensor(u8, "[2]", "[2,0]"), "xy"), "spans bytes"},
      {"Overlap", file_bytes(two_tensors("[0,2]", "[1,3]"), "xyz"), "overlaps another or leaves a gap"},
      {"SameBytesTwice", file_bytes(two_tensors("[0,2]", "[0,2]"), "xy"), "overlaps another or leaves a gap"},
      {"Gap", file_bytes(two_tensors("[0,2]", "[3,5]"), "xyzuv"), "overlaps another or leaves a gap"},
      {"GapAtTheStart", file_bytes(one_tensor(u8, "[2]", "[1,3]"), "xyz"), "overlaps another or leaves a gap"},
      {"TrailingBytes", file_bytes(one_tensor(u8, "[2]", "[0,2]"), "xyz"), "bytes after the last tensor"},
      {"DuplicateName", file_bytes(concat(R"({"a":)", kGoodEntry, R"(,"a":)", kGoodEntry, "}"), "xy"), "appears twice"},
      {"DuplicateField", file_bytes(R"({"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}})", "xy"),
       "appears twice"},
      {"MetadataIsText", file_bytes(R"({"__metadata__":"x"})", ""), "not an object"},
      {"MetadataValueIsANumber", file_bytes(R"({"__metadata__":{"k":1}})", ""), "is not a string"},
  };
}

INSTANTIATE_TEST_SUITE_P(Files, SafetensorsCorruption, testing::ValuesIn(bad_files()),
                         [](const auto& row) { return row.param.name; });

TEST(SafetensorsOpen, NamesMissingFilesAndFolders) {
  const ScratchFolder scratch;
  try {
    SafetensorsFile::open(scratch / "none");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNotFound);
    EXPECT_THAT(e.message(), HasSubstr("none"));
  }
  EXPECT_THAT(open_and_read_all(scratch.path()), HasSubstr("not a regular file"));
}

std::string small_file(const ScratchFolder& scratch) {
  const std::vector<float> values{1, 2, 3, 4};
  const std::vector<std::uint8_t> mask{0, 1, 1};
  const std::vector<TensorRef> tensors{{"images", DType::kF32, {1, 2, 2}, std::as_bytes(std::span(values))},
                                       {"mask", DType::kU8, {3}, std::as_bytes(std::span(mask))}};
  write_safetensors(scratch / "good", tensors, {{"format", "cmunet"}});
  return read_file(scratch / "good");
}

TEST(SafetensorsDamage, EveryTruncationIsNoticed) {
  const ScratchFolder scratch;
  const std::string good = small_file(scratch);
  ASSERT_EQ(open_and_read_all(scratch / "good"), "");
  for (std::size_t length = 0; length < good.size(); ++length) {
    write_plain(scratch / "cut", std::string_view(good).substr(0, length));
    ASSERT_NE(open_and_read_all(scratch / "cut"), "") << "cut to " << length << " of " << good.size() << " bytes";
  }
}

// Flips may give another valid file; they must never crash, hang or reach outside of it.
TEST(SafetensorsDamage, FlippedBitsNeverCrash) {
  const ScratchFolder scratch;
  const std::string good = small_file(scratch);
  Rng rng(1);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bad = good;
    for (std::int64_t flips = rng.integer(1, 4); flips > 0; --flips) {
      const std::size_t at = rng.below(bad.size());
      bad[at] = static_cast<char>(bad[at] ^ (1 << rng.below(8)));
    }
    write_plain(scratch / "bad", bad);
    refused += open_and_read_all(scratch / "bad").empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 1000) << "most of the file is header and padding";
}

}  // namespace
}  // namespace cmunet
