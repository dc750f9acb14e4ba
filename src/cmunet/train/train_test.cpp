// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/nn/losses.h"
#include "cmunet/ssl/moco_v2.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/control.h"
#include "cmunet/train/finetune.h"
#include "cmunet/train/memory.h"
#include "cmunet/train/optimizer.h"
#include "cmunet/train/precision.h"
#include "cmunet/train/run_folder.h"
#include "cmunet/train/session.h"
#include "cmunet/train/step_losses.h"
#include "cmunet/train/tensorboard.h"

namespace cmunet::train {
namespace {

namespace fs = std::filesystem;

class TrainFiles : public ::testing::Test {
 public:
  static ErrorCode code_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "no Error was thrown";
    return ErrorCode::kInternal;
  }

 protected:
  TrainFiles() {
    dir = fs::temp_directory_path() / concat("cmunet_train_", ::getpid());
    fs::remove_all(dir);
    fs::create_directories(dir);
  }
  ~TrainFiles() override { fs::remove_all(dir); }

  fs::path dir;
};

ModelInfo small_info() {
  ModelInfo info;
  info.kind = "segmentation";
  info.method = "supervised";
  info.in_channels = 1;
  info.classes = 2;
  info.base_width = 2;
  info.preprocessing = Json::object();
  info.height = info.width = 32;
  info.details = {{"step", 7}};
  return info;
}

TEST(Schedule, WarmUpThenCosine) {
  const ScheduleOptions s{.peak_lr = 2e-3, .warmup_steps = 40, .total_steps = 300};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 2e-7);
  EXPECT_NEAR(learning_rate(s, 20), 0.5 * (2e-3 + 2e-7), 1e-12);
  EXPECT_DOUBLE_EQ(learning_rate(s, 40), 2e-3);
  EXPECT_NEAR(learning_rate(s, 170), 1e-3, 1e-12);  // half of the cosine
  EXPECT_NEAR(learning_rate(s, 300), 0, 1e-15);
}

TEST(Schedule, ConstantStaysAfterWarmUp) {
  const ScheduleOptions s{.kind = Schedule::kConstant, .peak_lr = 1e-3, .warmup_steps = 0, .total_steps = 10};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate(s, 1000), 1e-3);
}

TEST(AdamWDecay, SparesBiasesAndNorms) {
  nn::UNet unet(nn::UNetOptions{1, 2, 2});
  const torch::NoGradGuard no_grad;
  for (auto& parameter : unet->parameters()) {
    parameter.fill_(1);
    parameter.mutable_grad() = torch::zeros_like(parameter);
  }
  Optimizer(*unet, {.weight_decay = 0.5}).step(0.1);
  for (const auto& item : unet->named_parameters()) {
    const bool decays = item.value().dim() > 1;
    EXPECT_FLOAT_EQ(item.value().view({-1})[0].item<float>(), decays ? 0.95F : 1.0F) << item.key();
  }
  Optimizer(*unet, {.weight_decay = 0.5, .decay_norms = true}).step(0.1);
  EXPECT_FLOAT_EQ(unet->named_parameters()["down_conv1.double_conv.double_conv.1.weight"][0].item<float>(), 0.95F);
  EXPECT_FLOAT_EQ(unet->named_parameters()["down_conv1.double_conv.double_conv.1.bias"][0].item<float>(), 1.0F);
}

TEST(StepsPerEpoch, KeepsTheLastBatchUnlessItIsTooSmall) {
  EXPECT_EQ(steps_per_epoch(1372, 256, 2), 6);
  EXPECT_EQ(steps_per_epoch(18, 18, 2), 1);
  EXPECT_EQ(steps_per_epoch(9, 4, 2), 2);
  EXPECT_EQ(steps_per_epoch(9, 4, 1), 3);
  EXPECT_EQ(steps_per_epoch(10, 4, 2), 3);
  EXPECT_EQ(steps_per_epoch(1, 1, 1), 1);
}

TEST(MeanDice, PerImageWithEmptyImages) {
  auto probability = torch::zeros({3, 2, 2});
  auto target = torch::zeros({3, 2, 2}, torch::kUInt8);
  probability[0][0][0] = 0.9;  // image 0: one of two found: 2·1 / (1 + 2)
  target[0][0][0] = 1;
  target[0][1][1] = 1;
  probability[1][0][0] = 0.9;  // image 1: nothing to find: 0; image 2: both empty: 1
  EXPECT_NEAR(mean_dice(probability, target), (2.0 / 3 + 0 + 1) / 3, 1e-12);
}

TEST(Means, AverageAndSurviveSaving) {
  Means means;
  means.add("loss", 1);
  means.add("loss", 4);
  Means copy;
  copy.set_state(means.state());
  copy.add("loss", 4);
  EXPECT_DOUBLE_EQ(copy.to_json()["loss"].get<double>(), 3);
}

TEST(CheckFinite, NamesEpochStepRateAndImages) {
  check_finite(1.0, {}, 0.1, {});
  try {
    check_finite(std::nan(""), {4, 1, 77}, 0.25, {"a7", "b9"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNumeric);
    for (const char* word : {"epoch 5", "step 77", "0.25", "a7, b9"}) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << word << " in " << e.what();
    }
  }
}

TEST(StepLosses, AreReadTogetherAndAddedUpWithinAStep) {
  StepLosses losses(2);
  Means means;
  losses.add("loss", torch::tensor(1.0F), 0.5);  // two passes of one step
  losses.add("loss", torch::tensor(3.0F), 0.5);
  losses.end_step({}, 0.1, {"a"}, means);
  EXPECT_TRUE(means.to_json().empty());
  losses.add("loss", torch::tensor(5.0F));
  losses.add("part", torch::tensor(7.0, at::kDouble));
  losses.end_step({}, 0.1, {"b"}, means);
  EXPECT_EQ(means.to_json(), (Json{{"loss", 3.5}, {"part", 7.0}}));
  EXPECT_EQ(losses.last(), 5);
  losses.add("loss", torch::tensor(11.0F));
  losses.end_step({}, 0.1, {"c"}, means);
  losses.read(means);  // before its time, as at the end of an epoch
  EXPECT_EQ(means.to_json()["loss"], (2.0 + 5 + 11) / 3);
  losses.read(means);
  EXPECT_EQ(means.to_json()["loss"], (2.0 + 5 + 11) / 3);
}

TEST(StepLosses, SpreadIsThatOfTheLastStepThatIsRead) {
  StepLosses losses(16);
  Means means;
  for (const double length : {1.0, 2.0, 3.0}) {
    losses.add("loss", torch::tensor(1.0));
    losses.add_embeddings("x", length * torch::tensor({{1.0, 0.0}, {-1.0, 0.0}}));
    losses.end_step({}, 0.1, {}, means);
  }
  losses.read(means);
  EXPECT_NEAR(means.to_json()["x_sd"].get<double>(), 3 * std::sqrt(2.0) / 2, 1e-12);  // of two dimensions one varies
  EXPECT_NEAR(means.to_json()["x_effective_rank"].get<double>(), 1, 1e-9);
}

TEST(StepLosses, NameTheStepThatIsNotFiniteHoweverLate) {
  StepLosses losses(8);
  Means means;
  for (const std::int64_t step : {4, 5, 6}) {
    losses.add("loss", torch::tensor(step == 5 ? NAN : 1.0F));
    losses.end_step({.epoch = 0, .step_in_epoch = step, .step = step}, 0.1, {concat("image", step)}, means);
  }
  try {
    losses.read(means);
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNumeric);
    EXPECT_NE(e.message().find("step 5"), std::string::npos) << e.message();
    EXPECT_NE(e.message().find("image5"), std::string::npos) << e.message();
  }
}

TEST(ChannelsLast, ChangesLayoutAndNothingElse) {
  const auto logits_after_training = [](bool channels_last) {
    torch::manual_seed(3);
    nn::UNet unet(nn::UNetOptions{.base_width = 4, .kernels = nn::Kernels::kTorch});
    set_precision(*unet, Precision::kFp64);  // rounding tells nothing then
    if (channels_last) use_channels_last(*unet);
    Optimizer optimizer(*unet, {});
    const at::Tensor images = torch::randn({2, 1, 32, 32}, at::kDouble);
    for (int step = 0; step < 2; ++step) {
      unet->forward(images).square().mean().backward();
      optimizer.step(1e-2);
      optimizer.zero_grad();
    }
    return unet->forward(images).detach();
  };
  const at::Tensor logits = logits_after_training(true), wanted = logits_after_training(false);
  EXPECT_TRUE(logits.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(wanted.is_contiguous());
  EXPECT_TRUE(logits.allclose(wanted, 1e-6, 1e-6)) << (logits - wanted).abs().max();
}

TEST(ParseDevice, KnowsCpuAndRefusesNonsense) {
  EXPECT_TRUE(parse_device("cpu").is_cpu());
  EXPECT_THROW(parse_device("gpu"), Error);
  EXPECT_THROW(parse_device("meta"), Error);
}

TEST(TensorBoard, MaskedCrcOfTheKnownVector) {
  // CRC-32C of "123456789" is 0xe3069283 (RFC 3720); then TFRecord's mask.
  const std::uint32_t crc = 0xe3069283U;
  EXPECT_EQ(masked_crc32c("123456789"), ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
}

TEST_F(TrainFiles, EventFileHasWholeRecords) {
  EventWriter(dir).scalars(3, {{"loss", 0.5}, {"lr", 1e-3}});
  const std::string bytes = read_file(fs::directory_iterator(dir)->path());
  std::size_t offset = 0;
  int records = 0;
  while (offset < bytes.size()) {
    std::uint64_t length = 0;
    std::uint32_t length_crc = 0, data_crc = 0;
    ASSERT_LE(offset + 16, bytes.size());
    std::memcpy(&length, bytes.data() + offset, 8);
    std::memcpy(&length_crc, bytes.data() + offset + 8, 4);
    EXPECT_EQ(length_crc, masked_crc32c(std::string_view(bytes).substr(offset, 8)));
    std::memcpy(&data_crc, bytes.data() + offset + 12 + length, 4);
    EXPECT_EQ(data_crc, masked_crc32c(std::string_view(bytes).substr(offset + 12, length)));
    offset += 16 + length;
    ++records;
  }
  EXPECT_EQ(offset, bytes.size());
  EXPECT_EQ(records, 2);  // the version and the scalars
  EXPECT_NE(bytes.find("brain.Event:2"), std::string::npos);
}

TEST_F(TrainFiles, ModelRoundTrip) {
  nn::UNet unet(nn::UNetOptions{1, 2, 2});
  save_model(dir / "m.safetensors", *unet, small_info());
  const Model model = load_model(dir / "m.safetensors");
  EXPECT_EQ(unet_options(model.info), unet_options(small_info()));
  EXPECT_EQ(model.info.details["step"], 7);
  const auto a = state_of(*unet), b = state_of(*model.unet);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].second.equal(b[i].second)) << a[i].first;
}

TEST_F(TrainFiles, AModelOfAnotherArchitectureOrVersionIsRefused) {
  nn::UNet unet(nn::UNetOptions{1, 2, 2});
  auto info = small_info();
  info.base_width = 4;  // says 4, holds 2
  save_model(dir / "m.safetensors", *unet, info);
  EXPECT_EQ(code_of([&] { load_model(dir / "m.safetensors"); }), ErrorCode::kCorrupt);
  for (std::int64_t ModelInfo::*member : {&ModelInfo::base_width, &ModelInfo::in_channels, &ModelInfo::classes}) {
    info = small_info();
    info.*member = std::int64_t{1} << 40;  // more memory than there is
    save_model(dir / "huge.safetensors", *unet, info);
    EXPECT_EQ(code_of([&] { load_model(dir / "huge.safetensors"); }), ErrorCode::kCorrupt);
  }
  Json newer = {{"format", "cmunet-model"}, {"version", 99}};
  save_tensors(dir / "n.safetensors", state_of(*unet), {{"cmunet", newer.dump()}});
  EXPECT_EQ(code_of([&] { load_model(dir / "n.safetensors"); }), ErrorCode::kUnsupported);
  save_tensors(dir / "o.safetensors", state_of(*unet), {});
  EXPECT_EQ(code_of([&] { load_model(dir / "o.safetensors"); }), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of([&] { load_model(dir / "absent"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { load_model(dir); }), ErrorCode::kNotFound);
}

TEST_F(TrainFiles, LoadIntoReportsEveryTensor) {
  nn::UNet small(nn::UNetOptions{1, 2, 2}), other(nn::UNetOptions{1, 3, 2});
  save_tensors(dir / "w.safetensors", state_of(*other, ""), {});
  const SafetensorsFile file = SafetensorsFile::open(dir / "w.safetensors");
  const LoadReport all = load_into(*small, file);
  EXPECT_EQ(all.mismatched, (std::vector<std::string>{"conv_last.weight", "conv_last.bias"}));
  EXPECT_TRUE(all.missing.empty());
  const LoadReport skipped = load_into(*small, file, {"conv_last."});
  EXPECT_EQ(skipped.missing, (std::vector<std::string>{"conv_last.weight", "conv_last.bias"}));
  EXPECT_TRUE(
      small->named_parameters()["up_conv1.up_sample.bias"].equal(other->named_parameters()["up_conv1.up_sample.bias"]));
  torch::nn::Linear stranger(2, 2);
  EXPECT_TRUE(load_into(*stranger, file).loaded.empty());
  EXPECT_EQ(load_into(*stranger, file).unused.size(), file.tensors().size());
}

TEST_F(TrainFiles, ADamagedStateFallsBackToThePreviousOne) {
  const fs::path path = dir / "last.state.safetensors";
  const auto one = torch::full({8}, 1.0), two = torch::full({8}, 2.0);
  save_state(path, {{"t", one}}, {{"step", 1}});
  save_state(path, {{"t", two}}, {{"step", 2}});
  EXPECT_EQ(load_state(path).state["step"], 2);
  std::string bytes = read_file(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 0x40);  // one bit of the last tensor
  std::ofstream(path, std::ios::binary) << bytes;
  const TrainingState older = load_state(path);
  EXPECT_EQ(older.state["step"], 1);
  EXPECT_TRUE(to_tensor(older.file.at("t")).equal(one));
  fs::remove(path);  // as after a crash between the two names
  EXPECT_EQ(load_state(path).state["step"], 1);
  EXPECT_EQ(code_of([&] { load_state(dir / "none.safetensors"); }), ErrorCode::kNotFound);
}

TEST_F(TrainFiles, AStateMayNameAFileThatIsNotUtf8) {
  save_state(dir / "last.state.safetensors", {{"t", torch::ones({2})}}, {{"init", "\xff.safetensors"}});
  EXPECT_EQ(load_state(dir / "last.state.safetensors").state["init"], "\xEF\xBF\xBD.safetensors");
}

TEST_F(TrainFiles, ARunFolderForgetsAnOldStopFile) {
  double lr = 0.1;
  Fields fields;
  fields.add("finetune.lr", lr, "rate");
  RunFolder(dir / "run", fields, false, false);
  std::ofstream(dir / "run" / kStopFile) << "x";
  RunFolder(dir / "run", fields, true, false);
  EXPECT_EQ(StopRequest(nullptr, 0, dir / "run").reason(), "");
}

TEST_F(TrainFiles, DataThatChangedAreNamed) {
  const Json before = {{"stores", {"abc"}}, {"labels", 20}};
  save_state(dir / "new.safetensors", {{"t", torch::ones({2})}}, {{"data", before}});
  const TrainingState saved = load_state(dir / "new.safetensors");
  EXPECT_NO_THROW(check_same_data(saved, before));
  try {
    check_same_data(saved, {{"stores", {"abc"}}, {"labels", 50}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("labels: 50 but the run began with 20"), std::string::npos) << e.what();
  }
  save_state(dir / "old.safetensors", {{"t", torch::ones({2})}}, {{"step", 1}});
  EXPECT_NO_THROW(check_same_data(load_state(dir / "old.safetensors"), before));
}

TEST_F(TrainFiles, ARunFolderIsNotOverwrittenAndResumesOnlyWithTheSameOptions) {
  double lr = 0.1;
  double max_minutes = 0;
  Fields fields;
  fields.add("finetune.lr", lr, "rate");
  fields.add("finetune.max_minutes", max_minutes, "limit");
  const fs::path run = dir / "run";
  {
    RunFolder folder(run, fields, false, false);
    folder.append_metrics({{"epoch", 1}, {"step", 10}, {"loss", 0.5}});
    folder.append_metrics({{"epoch", 2}, {"step", 20}, {"loss", 0.4}});
    std::ofstream(run / "metrics.jsonl", std::ios::app) << R"({"epoch": 3, "st)";  // cut by a crash
    folder.truncate_metrics(10);
    EXPECT_EQ(Json::parse(read_file(run / "metrics.jsonl"))["step"], 10);
  }
  EXPECT_EQ(code_of([&] { RunFolder(run, fields, false, false); }), ErrorCode::kInvalidArgument);
  max_minutes = 5;
  EXPECT_NO_THROW(RunFolder(run, fields, true, false));
  lr = 0.2;
  EXPECT_EQ(code_of([&] { RunFolder(run, fields, true, false); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { RunFolder(dir / "none", fields, true, false); }), ErrorCode::kNotFound);
  RunFolder forced(run, fields, false, true);
  EXPECT_FALSE(fs::exists(run / "metrics.jsonl"));
}

TEST(Memory, ARunThatCannotFitIsRefusedBeforeItStarts) {
  const std::optional<double> available = available_memory_bytes();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, 0);
  EXPECT_NO_THROW(check_memory("finetune", 1024, at::kCPU));
  EXPECT_NO_THROW(check_memory("finetune", 1e18, at::kCUDA));  // not this machine's memory
  try {
    check_memory("finetune", 1e18, at::kCPU);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
    EXPECT_NE(std::string(e.what()).find("batch_size"), std::string::npos);
  }
}

TEST(Memory, AnAllocatorThatGivesUpIsToldFromOtherErrors) {
  const auto code_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const c10::Error& e) {
      return to_error("finetune", e).code();
    }
    return ErrorCode::kNotFound;
  };
  EXPECT_EQ(code_of([] { torch::empty({std::int64_t{1} << 50}); }), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code_of([] { torch::zeros({2}).add(torch::zeros({3})); }), ErrorCode::kInternal);
}

TEST(Autocast, LeavesContrastsAlone) {
  torch::manual_seed(5);
  const at::Tensor p = torch::randn({6, 32}), k = p + torch::randn({6, 32}), queue = torch::randn({9, 32});
  const auto exact = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const double info_nce = nn::info_nce(exact(p), exact(k), 0.07).item<double>();
  const double contrast = ssl::queue_contrast(exact(p), exact(k), exact(queue), 0.07).item<double>();
  const Autocast autocast(Precision::kBf16, at::kCPU);
  ASSERT_EQ(p.matmul(k.t()).scalar_type(), at::kBFloat16);
  EXPECT_NEAR(nn::info_nce(p, k, 0.07).item<double>(), info_nce, 1e-4 * info_nce);
  EXPECT_NEAR(ssl::queue_contrast(p, k, queue, 0.07).item<double>(), contrast, 1e-4 * std::abs(contrast));
}

TEST(LossScale, GoesOnWhereItsStateWasTaken) {
  const at::Tensor weight = torch::ones({1}, torch::requires_grad());
  weight.mutable_grad() = torch::ones({1});
  LossScale first(Precision::kFp16);
  for (int i = 0; i < 1999; ++i) ASSERT_TRUE(first.unscale({weight}));
  LossScale resumed(Precision::kFp16);
  resumed.set_state(first.state());
  EXPECT_EQ(resumed.value(), 65536);
  resumed.unscale({weight});
  EXPECT_EQ(resumed.value(), 131072);
  resumed.set_state(1024.0);  // an older state
  EXPECT_EQ(resumed.value(), 1024);
}

TEST(LossScale, UndoesItselfAndHalvesOnOverflow) {
  const at::Tensor weight = torch::ones({1}, torch::requires_grad());
  LossScale scale(Precision::kFp16);
  weight.mutable_grad() = torch::full({1}, 65536.0F);
  EXPECT_TRUE(scale.unscale({weight}));
  EXPECT_EQ(weight.grad().item<float>(), 1);
  weight.mutable_grad() = torch::full({1}, INFINITY);
  EXPECT_FALSE(scale.unscale({weight}));
  EXPECT_EQ(scale.value(), 32768);
  EXPECT_EQ(scale.state()["good_steps"], 0);
}

TEST(LossScale, EndsARunThatLearnsNothingAnyMore) {
  const at::Tensor weight = torch::ones({1}, torch::requires_grad());
  weight.mutable_grad() = torch::full({1}, INFINITY);
  LossScale scale(Precision::kFp16);
  for (int i = 0; i < 16; ++i) ASSERT_FALSE(scale.unscale({weight}));
  ASSERT_EQ(scale.value(), 1);
  for (int i = 0; i < 19; ++i) ASSERT_FALSE(scale.unscale({weight}));
  EXPECT_EQ(TrainFiles::code_of([&] { scale.unscale({weight}); }), ErrorCode::kNumeric);
}

TEST(LossScale, SkippedStepsAreAShareOfAll) {
  Means means;
  for (const bool was_skipped : {true, false, false, false}) {
    add_skipped(means, LossScale(Precision::kFp32), was_skipped);
  }
  EXPECT_TRUE(means.to_json().empty());
  for (const bool was_skipped : {true, false, false, false}) {
    add_skipped(means, LossScale(Precision::kFp16), was_skipped);
  }
  EXPECT_EQ(means.to_json()["skipped_steps"], 0.25);
}

TEST(StopRequest, KnowsFlagTimeAndFile) {
  std::atomic<bool> flag{false};
  const fs::path dir = fs::temp_directory_path() / concat("cmunet_stop_", ::getpid());
  fs::create_directories(dir);
  const StopRequest stop(&flag, 0, dir);
  EXPECT_EQ(stop.reason(), "");
  std::ofstream(dir / "stop") << "x";
  EXPECT_EQ(stop.reason(), "stop file");
  flag = true;
  EXPECT_EQ(stop.reason(), "signal");
  const StopRequest timed(nullptr, 1e-9, dir / "none");
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(timed.reason(), "max_minutes");
  fs::remove_all(dir);
}

}  // namespace
}  // namespace cmunet::train
