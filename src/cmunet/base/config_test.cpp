// SPDX-License-Identifier: Apache-2.0
#include "cmunet/base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <limits>

#include "cmunet/base/error.h"
#include "cmunet/base/scratch_folder.h"

namespace cmunet {
namespace {

using testing::HasSubstr;

enum class Schedule { kConstant, kCosine };
constexpr std::array<std::pair<std::string_view, Schedule>, 2> kSchedules{
    {{"constant", Schedule::kConstant}, {"cosine", Schedule::kCosine}}};

struct Options {
  bool amp = false;
  int epochs = 100;
  std::int64_t steps = 5;
  std::uint64_t seed = 42;
  double lr = 1.5e-4;
  std::string name = "run";
  Schedule schedule = Schedule::kCosine;
  double finetune_lr = 0.5;
};

Fields fields_of(Options& o) {
  Fields f;
  f.add("pretrain.amp", o.amp, "half precision");
  f.add("pretrain.epochs", o.epochs, "passes over the data");
  f.add("pretrain.steps", o.steps, "steps");
  f.add("pretrain.seed", o.seed, "seed");
  f.add("pretrain.lr", o.lr, "base learning rate");
  f.add("pretrain.name", o.name, "name of the run");
  f.add("pretrain.schedule", o.schedule, kSchedules, "learning rate over time");
  f.add("finetune.lr", o.finetune_lr, "base learning rate");
  return f;
}

Json toml(const std::string& text) {
  const ScratchFolder scratch;
  std::ofstream(scratch / "config.toml") << text;
  return load_toml(scratch / "config.toml");
}

template <typename Action>
std::string refusal_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument) << e.what();
    return e.what();
  }
  return "no error";
}

std::string apply_refusal(const std::string& text) {
  Options options;
  Fields fields = fields_of(options);
  const Json tree = toml(text);
  return refusal_of([&] { fields.apply(tree, "a.toml"); });
}

std::string set_refusal(const std::string& assignment) {
  Options options;
  Fields fields = fields_of(options);
  return refusal_of([&] { fields.apply_set(assignment); });
}

TEST(Config, SetsEveryType) {
  Options options;
  fields_of(options).apply(toml(R"(
    [pretrain]
    amp = true
    epochs = -7
    steps = 9_000_000_000
    seed = 0xffff_ffff_ff
    lr = 1e-3
    name = "é \"quoted\""
    schedule = "constant"
    [finetune]
    lr = 2            # a whole number is a number
  )"),
                           "a.toml");
  EXPECT_TRUE(options.amp);
  EXPECT_EQ(options.epochs, -7);
  EXPECT_EQ(options.steps, 9'000'000'000);
  EXPECT_EQ(options.seed, 0xffffffffffU);
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.name, "é \"quoted\"");
  EXPECT_EQ(options.schedule, Schedule::kConstant);
  EXPECT_EQ(options.finetune_lr, 2.0);
}

TEST(Config, KeepsDefaultsOfKeysThatAreAbsent) {
  Options options;
  fields_of(options).apply(toml("[pretrain]\nepochs = 3"), "a.toml");
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.lr, 1.5e-4);
  EXPECT_EQ(options.schedule, Schedule::kCosine);
}

TEST(Config, RefusesUnknownKeysAndSuggestsTheNearest) {
  const std::string message = apply_refusal("[pretrain]\nepcohs = 3");
  EXPECT_THAT(message, HasSubstr("a.toml: unknown key 'pretrain.epcohs'"));
  EXPECT_THAT(message, HasSubstr("did you mean 'pretrain.epochs'?"));
  EXPECT_THAT(apply_refusal("[pretrian]\nlr = 3"), HasSubstr("did you mean 'pretrain.lr'?"));
  const std::string far = apply_refusal("[pretrain]\nmomentum_schedule = 3");
  EXPECT_THAT(far, HasSubstr("unknown key 'pretrain.momentum_schedule'"));
  EXPECT_THAT(far, testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(apply_refusal("epochs = 3"), HasSubstr("unknown key 'epochs'"));
  EXPECT_THAT(apply_refusal("[pretrain.epochs]\nvalue = 3"), HasSubstr("unknown key 'pretrain.epochs.value'"));
}

TEST(Config, SkipsOnlyTheNamedForeignSections) {
  Options options;
  const Json tree = toml("[prepare]\nsize = 256\n[pretrain]\nepochs = 3");
  const std::array<std::string_view, 1> others{"prepare"};
  fields_of(options).apply(tree, "a.toml", others);
  EXPECT_EQ(options.epochs, 3);
  Fields fields = fields_of(options);
  EXPECT_THAT(refusal_of([&] { fields.apply(tree, "a.toml"); }), HasSubstr("unknown key 'prepare.size'"));
}

struct WrongType {
  std::string assignment;
  std::string message;
};

class ConfigType : public testing::TestWithParam<WrongType> {};

TEST_P(ConfigType, IsChecked) {
  EXPECT_THAT(apply_refusal("[pretrain]\n" + GetParam().assignment), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigType,
    testing::Values(WrongType{"amp = 1", "pretrain.amp is 1; expected true or false"},
                    WrongType{"amp = \"true\"", "expected true or false"},
                    WrongType{"epochs = 3.0", "pretrain.epochs is 3.0; expected a whole number"},
                    WrongType{"epochs = \"3\"", "expected a whole number"},
                    WrongType{"epochs = true", "expected a whole number"},
                    WrongType{"epochs = [3]", "expected a whole number"},
                    WrongType{"epochs = 2147483648", "pretrain.epochs is 2147483648; expected a number in range"},
                    WrongType{"seed = -1", "pretrain.seed is -1; expected a number in range"},
                    WrongType{"lr = \"fast\"", "pretrain.lr is \"fast\"; expected a number"},
                    WrongType{"lr = true", "expected a number"}, WrongType{"lr = nan", "expected a finite number"},
                    WrongType{"lr = inf", "expected a finite number"},
                    WrongType{"name = 3", "pretrain.name is 3; expected a text in quotes"},
                    WrongType{"schedule = \"linear\"", "expected one of constant, cosine"},
                    WrongType{"schedule = 1", "pretrain.schedule is 1; expected one of constant, cosine"}));

TEST(Range, HoldsItsEndsUnlessTheyAreExcluded) {
  EXPECT_TRUE(kShare.contains(0) && kShare.contains(1));
  EXPECT_FALSE(kShare.contains(-1e-12) || kShare.contains(1 + 1e-12));
  EXPECT_FALSE(kShareAboveZero.contains(0) || kShareBelowOne.contains(1) || kPositive.contains(0));
  EXPECT_TRUE(kShareAboveZero.contains(1) && kShareBelowOne.contains(0) && kPositive.contains(5e-324));
  EXPECT_TRUE(Range{}.contains(-std::numeric_limits<double>::infinity()));
  for (const Range& range : {Range{}, kShare, kPositive}) EXPECT_FALSE(range.contains(std::nan("")));
}

TEST(Range, IsSaidInWords) {
  EXPECT_EQ(Range{}.text(), "");
  EXPECT_EQ(kPositive.text(), "positive");
  EXPECT_EQ(at_least(2).text(), "at least 2");
  EXPECT_EQ(at_least(1e-9).text(), "at least 1e-09");
  EXPECT_EQ((Range{.low = 3, .excludes_low = true}).text(), "above 3");
  EXPECT_EQ((Range{.high = 7}).text(), "at most 7");
  EXPECT_EQ((Range{.high = 7, .excludes_high = true}).text(), "below 7");
  EXPECT_EQ(within(1, 1 << 20).text(), "in [1, 1048576]");
  EXPECT_EQ((Range{.low = 0, .high = 0.5, .excludes_low = true}).text(), "in (0, 0.5]");
}

struct Bounded {
  int folds = 3;
  std::int64_t steps = 5;
  double lr = 0.5;
};

void describe(Bounded& o, Fields& f) {
  f.add("run.folds", o.folds, "of the set", at_least(2));
  f.add("run.steps", o.steps, "in all", kNotNegative);
  f.add("run.lr", o.lr, "of Adam", kShareAboveZero);
}

TEST(ConfigRange, IsCheckedWhenANumberIsSet) {
  Bounded options;
  Fields fields;
  describe(options, fields);
  EXPECT_EQ(refusal_of([&] { fields.apply(toml("[run]\nfolds = 1"), "a.toml"); }),
            "[config] a.toml: run.folds is 1; must be at least 2");
  EXPECT_EQ(refusal_of([&] { fields.apply_set("steps=-1"); }),
            "[config] --set steps=-1: run.steps is -1; must be at least 0");
  EXPECT_EQ(refusal_of([&] { fields.apply_set("lr=0"); }), "[config] --set lr=0: run.lr is 0; must be in (0, 1]");
}

TEST(ConfigRange, IsCheckedOfValuesThatCodeHasSet) {
  check_ranges(Bounded{});
  EXPECT_EQ(refusal_of([] { check_ranges(Bounded{.folds = 0}); }), "[config] run.folds is 0; must be at least 2");
  EXPECT_EQ(refusal_of([] { check_ranges(Bounded{.lr = std::nan("")}); }), "[config] run.lr is nan; must be in (0, 1]");
}

TEST(ConfigRange, IsPartOfTheHelp) {
  Bounded options;
  Fields fields;
  describe(options, fields);
  EXPECT_THAT(fields.to_toml(), HasSubstr("# of the set (at least 2)\nfolds = 3\n"));
}

TEST(Config, AFailedFileNamesLineAndColumn) {
  EXPECT_THAT(refusal_of([] { toml("[pretrain]\nlr = = 3"); }), HasSubstr("line 2 column"));
  EXPECT_THAT(refusal_of([] { toml("a = 1\na = 2"); }), HasSubstr("line 2"));
  EXPECT_THAT(refusal_of([] { toml("day = 2020-01-01"); }), HasSubstr("dates and times"));
  EXPECT_THAT(refusal_of([] { toml("a = " + std::string(100'000, '[')); }), HasSubstr("line 1"));
  try {
    load_toml("/no/such/file.toml");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNotFound);
  }
}

TEST(ConfigSet, TakesFullAndShortKeys) {
  Options options;
  Fields fields = fields_of(options);
  fields.apply_set("pretrain.lr=0.25");
  fields.apply_set("epochs=12");
  fields.apply_set("amp=true");
  fields.apply_set("schedule=constant");
  fields.apply_set("name=a word with = in it");
  EXPECT_EQ(options.lr, 0.25);
  EXPECT_EQ(options.finetune_lr, 0.5);
  EXPECT_EQ(options.epochs, 12);
  EXPECT_TRUE(options.amp);
  EXPECT_EQ(options.schedule, Schedule::kConstant);
  EXPECT_EQ(options.name, "a word with = in it");
  fields.apply_set("name=\"quoted\"");
  EXPECT_EQ(options.name, "quoted");
  fields.apply_set("name=");
  EXPECT_EQ(options.name, "");
}

TEST(ConfigSet, RefusesWhatItCannotPlace) {
  EXPECT_THAT(set_refusal("lr=1"), HasSubstr("'lr' is ambiguous. Hint: write pretrain.lr or finetune.lr"));
  EXPECT_THAT(set_refusal("epoch=1"), HasSubstr("unknown key 'epoch'"));
  EXPECT_THAT(set_refusal("pretrain.epoch=1"), HasSubstr("did you mean 'pretrain.epochs'?"));
  EXPECT_THAT(set_refusal("epochs"), HasSubstr("is not key=value"));
  EXPECT_THAT(set_refusal("=3"), HasSubstr("is not key=value"));
  EXPECT_THAT(set_refusal(""), HasSubstr("is not key=value"));
  EXPECT_THAT(set_refusal("epochs=many"), HasSubstr("--set epochs=many: pretrain.epochs is \"many\""));
  EXPECT_THAT(set_refusal("epochs=\xff"), HasSubstr("expected a whole number")) << "bytes that are not UTF-8";
  EXPECT_THAT(set_refusal("schedule=\xff"), HasSubstr("expected one of"));
}

TEST(ConfigToml, RestoresEveryValue) {
  Options saved{
      true, -1, std::numeric_limits<std::int64_t>::min(), 1ULL << 62, 0.1, "tab\t\"q\" \\ é\n#=", Schedule::kConstant,
      1e22};
  const std::string text = fields_of(saved).to_toml();
  Options loaded;
  fields_of(loaded).apply(toml(text), "saved");
  EXPECT_EQ(loaded.amp, saved.amp);
  EXPECT_EQ(loaded.epochs, saved.epochs);
  EXPECT_EQ(loaded.steps, saved.steps);
  EXPECT_EQ(loaded.seed, saved.seed);
  EXPECT_EQ(loaded.lr, saved.lr);
  EXPECT_EQ(loaded.name, saved.name);
  EXPECT_EQ(loaded.schedule, saved.schedule);
  EXPECT_EQ(loaded.finetune_lr, saved.finetune_lr);
  EXPECT_EQ(fields_of(loaded).to_toml(), text);
}

TEST(ConfigToml, RestoresEveryDoubleExactly) {
  for (const double value : {1.0, -0.0, 1e300, 5e-324, 1.0 / 3, 123456789.0, 1e15, 1e16, 1e17}) {
    Options saved, loaded;
    saved.lr = value;
    fields_of(loaded).apply(toml(fields_of(saved).to_toml()), "saved");
    EXPECT_EQ(loaded.lr, value);
  }
}

TEST(ConfigToml, ExplainsEveryKeyOnceUnderItsSection) {
  Options options;
  const std::string text = fields_of(options).to_toml();
  EXPECT_THAT(text, testing::StartsWith("[pretrain]\n# half precision\namp = false\n"));
  EXPECT_THAT(text, HasSubstr("# learning rate over time (one of: constant cosine)\nschedule = \"cosine\"\n"));
  EXPECT_THAT(text, testing::EndsWith("\n[finetune]\n# base learning rate\nlr = 0.5\n"));
}

TEST(ConfigToml, RefusesANumberThatTomlCannotHold) {
  Options options;
  options.seed = 1ULL << 63;
  EXPECT_THAT(refusal_of([&] { fields_of(options).to_toml(); }), HasSubstr("pretrain.seed is 9223372036854775808"));
}

TEST(ConfigJson, NestsSections) {
  Options options;
  const Json json = fields_of(options).to_json();
  EXPECT_EQ(json["pretrain"]["epochs"], 100);
  EXPECT_EQ(json["pretrain"]["schedule"], "cosine");
  EXPECT_EQ(json["finetune"]["lr"], 0.5);
  Options loaded;
  loaded.epochs = 1;
  fields_of(loaded).apply(json, "json");
  EXPECT_EQ(loaded.epochs, 100);
}

}  // namespace
}  // namespace cmunet
