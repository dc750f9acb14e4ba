// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

template <typename Action>
std::string corrupt_message_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << e.what();
    return e.message();
  }
  return "no error";
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"z": 1, "a": {"k": [true, null, "é"]}, "m": 2.5})", "test").dump(),
            R"({"z":1,"a":{"k":[true,null,"é"]},"m":2.5})");
}

TEST(ParseJson, NamesOriginAndPosition) {
  EXPECT_THAT(corrupt_message_of([] { parse_json("{\"a\": }", "manifest.json"); }),
              AllOf(HasSubstr("manifest.json"), HasSubstr("byte 7")));
}

TEST(ParseJson, RefusesHostileTexts) {
  const std::string unclosed(1'000'000, '[');
  std::string closed = unclosed + std::string(1'000'000, ']');
  for (const std::string& text : {unclosed, closed, std::string("1e999"), std::string("{\"a\":-1e400}"),
                                  std::string("\"\xff\""), std::string(), std::string("{}{}"), std::string("NaN")}) {
    EXPECT_NE(corrupt_message_of([&] { parse_json(text, "test"); }), "no error") << text.substr(0, 20);
  }
}

TEST(ParseJson, CountsOnlyBracketsOutsideOfTexts) {
  const std::string brackets = concat('"', std::string(1000, '['), "\\\"", std::string(1000, '{'), '"');
  EXPECT_EQ(parse_json(concat("[", brackets, "]"), "test").size(), 1U);
  std::string list = "[0";
  for (int i = 0; i < 1000; ++i) list += ",[[]]";
  EXPECT_EQ(parse_json(list + "]", "test").size(), 1001U);
}

TEST(SaveJson, RoundTripsAndTurnsNaNIntoNull) {
  const ScratchFolder scratch;
  const Json value = {{"text", "a\"b\nc"}, {"number", 0.1}, {"large", std::uint64_t{1} << 63}, {"list", {1, 2}}};
  save_json(scratch / "a.json", value);
  EXPECT_EQ(load_json(scratch / "a.json"), value);
  save_json(scratch / "a.json", {{"nan", std::nan("")}, {"inf", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(load_json(scratch / "a.json").dump(), R"({"nan":null,"inf":null})");
  EXPECT_TRUE(read_file(scratch / "a.json").ends_with("}\n"));
}

TEST(JsonGet, ReturnsWhatIsThere) {
  const Json object = parse_json(R"({"i": -3, "u": 18446744073709551615, "d": 2, "s": "x", "b": true, "l": [1, 2],
                                     "o": {"k": 1}})",
                                 "test");
  EXPECT_EQ(json_get<int>(object, "i", "test"), -3);
  EXPECT_EQ(json_get<std::uint64_t>(object, "u", "test"), ~std::uint64_t{0});
  EXPECT_EQ(json_get<double>(object, "d", "test"), 2.0);
  EXPECT_EQ(json_get<std::string>(object, "s", "test"), "x");
  EXPECT_TRUE(json_get<bool>(object, "b", "test"));
  EXPECT_EQ(json_get<std::vector<int>>(object, "l", "test"), (std::vector<int>{1, 2}));
  EXPECT_EQ(json_get<Json>(object, "o", "test").dump(), R"({"k":1})");
}

TEST(JsonGet, NamesFileAndKeyOfWhatIsMissing) {
  const auto message = corrupt_message_of([] { json_get<int>(Json::object(), "height", "manifest.json"); });
  EXPECT_EQ(message, "[manifest.json] key 'height' is missing");
  EXPECT_THAT(corrupt_message_of([] { json_get<int>(Json::array({1}), "height", "test"); }), HasSubstr("is missing"));
  EXPECT_THAT(corrupt_message_of([] { json_get<int>(Json(nullptr), "height", "test"); }), HasSubstr("is missing"));
}

template <typename T>
std::string refusal(const char* value) {
  const Json object = parse_json(concat("{\"k\": ", value, "}"), "test");
  return corrupt_message_of([&] { json_get<T>(object, "k", "test"); });
}

TEST(JsonGet, RefusesOtherTypes) {
  EXPECT_THAT(refusal<int>("\"3\""), HasSubstr("has the wrong type: \"3\""));
  EXPECT_THAT(refusal<int>("true"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<int>("3.7"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<int>("3.0"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<int>("null"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<double>("true"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<double>("null"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<bool>("1"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<std::string>("1"), HasSubstr("wrong type"));
  EXPECT_THAT(refusal<std::vector<int>>("[1, \"2\"]"), HasSubstr("wrong type"));
  EXPECT_LT(refusal<int>(concat('"', std::string(10'000, 'x'), '"').c_str()).size(), 200U);
}

TEST(JsonGet, RefusesNumbersThatDoNotFit) {
  EXPECT_THAT(refusal<int>("4294967297"), HasSubstr("out of range"));
  EXPECT_THAT(refusal<int>("-2147483649"), HasSubstr("out of range"));
  EXPECT_THAT(refusal<std::int64_t>("9223372036854775808"), HasSubstr("out of range"));
  EXPECT_THAT(refusal<std::uint64_t>("-1"), HasSubstr("out of range"));
  EXPECT_THAT(refusal<std::uint8_t>("256"), HasSubstr("out of range"));
}

}  // namespace
}  // namespace cmunet
