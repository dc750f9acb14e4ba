// SPDX-License-Identifier: Apache-2.0
// The built program: `cmunet evaluate` on folders of masks with known agreement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/model_file.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/base/version.h"
#include "cmunet/codec/codec.h"
#include "run_program.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Evaluate : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(::testing::TempDir()) / (std::string("cmunet_evaluate_") + test->name());
    fs::remove_all(root);
    for (const char* name : {"pred", "target", "images"}) fs::create_directories(root / name);
  }
  void TearDown() override { fs::remove_all(root); }

  // A bar of `length` pixels in a row of a 16x16 mask.
  void bar(const std::string& file, int length, std::uint8_t value, int size = 16) const {
    image::Image<std::uint8_t> mask(size, size);
    for (int x = 0; x < length; ++x) mask.at(8, x) = value;
    codec::write_png(root / file, mask);
  }

  // Dice 2·4 / (4 + 8) = 2/3 and 1.
  void two_pairs() const {
    bar("pred/a.png", 4, 255);
    bar("target/a.png", 8, 1);
    bar("pred/b.png", 6, 1);
    bar("target/b.png", 6, 255);
  }

  Outcome evaluate(const std::string& more = {}) const {
    return run(concat("evaluate --pred ", root / "pred", " --target ", root / "target", " ", more));
  }

  Outcome run(const std::string& arguments, const fs::path& program = CMUNET_PROGRAM) const {
    return run_program(program, arguments, root);
  }

  fs::path root;
};

TEST_F(Evaluate, KnownDiceWhateverTheThreads) {
  two_pairs();
  bar("pred/a_overlay.png", 3, 255);  // what predict puts beside its masks is not a prediction
  const Outcome one = evaluate("--json --threads 1");
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.err, "");
  const Json document = parse_json(one.out, "stdout");
  EXPECT_NEAR(document["metrics"]["dice"]["mean"].get<double>(), 5.0 / 6, 1e-4);
  EXPECT_EQ(document["metrics"]["dice"]["n"], 2);
  EXPECT_NEAR(document["pooled"]["dice"].get<double>(), 20.0 / 24, 1e-4);
  EXPECT_EQ(document["images"][0]["id"], "a");
  EXPECT_NEAR(document["images"][0]["dice"].get<double>(), 2.0 / 3, 1e-4);
  EXPECT_EQ(document["disclaimer"], kDisclaimer);
  EXPECT_EQ(evaluate("--json --threads 2").out, one.out);
}

TEST_F(Evaluate, SaysThatSoftEdgesCountAsVessel) {
  two_pairs();
  image::Image<std::uint8_t> soft(16, 16);
  for (int x = 0; x < 6; ++x) soft.at(8, x) = x < 4 ? 255 : 90;
  codec::write_png(root / "pred/b.png", soft);
  const Outcome outcome = evaluate(concat("--json --out ", root / "out"));
  EXPECT_NEAR(parse_json(outcome.out, "stdout")["metrics"]["dice"]["mean"].get<double>(), 5.0 / 6, 1e-4);
  EXPECT_THAT(outcome.err, HasSubstr("[evaluate] 1 masks have 2 pixels between 0 and their largest value"));
}

TEST_F(Evaluate, TextTableOnStdout) {
  two_pairs();
  const Outcome outcome = evaluate();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("0.833 ±"));
  EXPECT_THAT(outcome.out, HasSubstr(kDisclaimer));
}

TEST_F(Evaluate, WritesThreeFilesOnceUnlessForced) {
  two_pairs();
  codec::write_png(root / "images/a.png", image::Image<std::uint8_t>(16, 16, 90));
  const std::string flags = concat("--images ", root / "images", " --out ", root / "out");
  ASSERT_EQ(evaluate(flags).status, 0);
  const std::string html = read_file(root / "out/report.html");
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,"));
  EXPECT_THAT(read_file(root / "out/evaluation.csv"), HasSubstr("\r\nb,1,"));
  EXPECT_EQ(load_json(root / "out/evaluation.json")["images"].size(), 2U);
  EXPECT_EQ(evaluate(flags).status, 2);
  EXPECT_EQ(evaluate(flags + " --force").status, 0);
  EXPECT_EQ(read_file(root / "out/report.html"), html);
}

TEST_F(Evaluate, MissingPredictionIsListed) {
  two_pairs();
  bar("target/c.png", 3, 1);
  const Outcome outcome = evaluate();
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.err, HasSubstr("1 of 3 targets have no prediction"));
  EXPECT_THAT(outcome.err, HasSubstr(": c."));
  const Outcome ignored = evaluate("--ignore-missing --json");
  EXPECT_EQ(ignored.status, 0);
  EXPECT_EQ(parse_json(ignored.out, "stdout")["images"].size(), 2U);
  EXPECT_THAT(ignored.err, HasSubstr("left out without a prediction: c"));
}

TEST_F(Evaluate, SizesMustAgree) {
  two_pairs();
  bar("pred/b.png", 6, 1, 20);
  const Outcome outcome = evaluate();
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.err, HasSubstr("20x20"));
  EXPECT_THAT(outcome.err, HasSubstr("16x16"));
  EXPECT_THAT(outcome.err, HasSubstr("Hint"));
}

TEST_F(Evaluate, DataErrors) {
  EXPECT_EQ(evaluate().status, 3);  // empty folders
  two_pairs();
  write_file_atomic(root / "pred/a.png", "not a picture");
  EXPECT_EQ(evaluate().status, 3);
  EXPECT_EQ(run(concat("evaluate --target ", root / "target", " --pred ", root / "nowhere")).status, 3);
  EXPECT_EQ(run("evaluate").status, 2);
}

TEST_F(Evaluate, FlagsOfAModelAreRefusedForFolders) {
  two_pairs();
  for (const std::string& flag : {std::string("--threshold 0.4"), std::string("--low-threshold 0.2"),
                                  std::string("--min-area 9"), std::string("--max-gap 3"), std::string("--flips"),
                                  std::string("--split val"), concat("--postprocess ", root / "pred/a.png")}) {
    const Outcome outcome = evaluate(flag);
    EXPECT_EQ(outcome.status, 2) << flag;
    EXPECT_THAT(outcome.err, HasSubstr("--model")) << flag;
  }
  EXPECT_EQ(run("evaluate --model m --store s --ignore-missing").status, 2);
}

TEST_F(Evaluate, DryRunWritesNothing) {
  two_pairs();
  EXPECT_THAT(evaluate(concat("--dry-run --out ", root / "out")).out, HasSubstr("would evaluate 2 images"));
  EXPECT_FALSE(fs::exists(root / "out"));
  EXPECT_EQ(evaluate(concat("--dry-run --out ", root / "pred")).status, 2) << "not empty";
}

TEST_F(Evaluate, InfoKnowsTheLevelsOfAUNet) {
  const std::vector<float> weight(2 * 1 * 3 * 3);
  std::vector<TensorRef> tensors;
  for (const char* module : {"down_conv0", "down_conv3", "up_convz"}) {
    tensors.push_back({concat(module, ".0.weight"), DType::kF32, {2, 1, 3, 3}, std::as_bytes(std::span(weight))});
  }
  ModelInfo info;
  info.height = info.width = 64;
  write_safetensors(root / "model.safetensors", tensors, {{"cmunet", model_metadata(info)}});
  const Outcome outcome = run(concat("info --json ", root / "model.safetensors"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json modules = parse_json(outcome.out, "stdout")["modules"];
  EXPECT_EQ(modules[0]["output_shape"], Json({2, 64, 64}));
  EXPECT_EQ(modules[1]["output_shape"], Json({2, 16, 16}));
  EXPECT_EQ(modules[2]["output_shape"], Json({2, 64, 64}));
}

// A copy of the program beside a stand-in for cmunet-train, a shell script.
class HandOver : public Evaluate {
 protected:
  void SetUp() override {
    Evaluate::SetUp();
    copy = root / "cmunet";
    fs::copy_file(CMUNET_PROGRAM, copy);
  }

  void stand_in(const std::string& script) const {
    write_file_atomic(root / "cmunet-train", concat("#!/bin/sh\n", script, "\n"));
    fs::permissions(root / "cmunet-train", fs::perms::owner_all);
  }

  fs::path copy;
};

TEST_F(HandOver, ADeviceIsHandedOverUnchanged) {
  EXPECT_EQ(run("evaluate --model m --store s --device cpu", copy).status, 3);
  stand_in("printf '%s|' \"$@\"");
  EXPECT_EQ(run("evaluate --store 's t' --device=cpu --model=m --json", copy).out,
            "evaluate|--store|s t|--device=cpu|--model=m|--json|");
}

TEST_F(HandOver, TheDemoEndsWithTheStatusOfItsStep) {
  for (const int status : {6, 4}) {
    stand_in(concat("exit ", status));
    const Outcome outcome = run(concat("demo --force --out ", root / "demo"), copy);
    EXPECT_EQ(outcome.status, status);
    EXPECT_THAT(outcome.err, HasSubstr(concat("status ", status, ": cmunet pretrain")));
  }
}

TEST_F(HandOver, TrainingThreadsWaitBusilyForAShortWhileOnly) {
  stand_in("printf '%s' \"${GOMP_SPINCOUNT-unset}\"");
  ::unsetenv("OMP_WAIT_POLICY");
  ::unsetenv("GOMP_SPINCOUNT");
  EXPECT_EQ(run("pretrain", copy).out, "10000");
  ::setenv("GOMP_SPINCOUNT", "7", 1);
  EXPECT_EQ(run("pretrain", copy).out, "7") << "what the user sets wins";
  ::unsetenv("GOMP_SPINCOUNT");
  ::setenv("OMP_WAIT_POLICY", "ACTIVE", 1);
  EXPECT_EQ(run("pretrain", copy).out, "unset") << "what the user sets wins";
  ::unsetenv("OMP_WAIT_POLICY");
}

}  // namespace
}  // namespace cmunet
