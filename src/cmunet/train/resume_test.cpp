// SPDX-License-Identifier: Apache-2.0
// The loops on a tiny store: an interrupted and resumed run ends as an uninterrupted one, bit for bit; test is never
// opened; what goes wrong is named.
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "cmunet/augment/batch.h"
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/dataset/store.h"
#include "cmunet/train/checkpoint.h"
#include "cmunet/train/finetune.h"
#include "cmunet/train/pretrain.h"
#include "cmunet/train/tiny_store_test.h"

namespace cmunet::train {
namespace {

namespace fs = std::filesystem;

class Loops : public ::testing::Test {
 protected:
  Loops() : dir(fs::temp_directory_path() / concat("cmunet_loops_", ::getpid())) {
    torch::set_num_threads(2);
    fs::remove_all(dir);
    write_tiny_store(dir / "store");
  }
  ~Loops() override { fs::remove_all(dir); }

  static PretrainOptions pretrain_options() {
    PretrainOptions o;
    o.method.unet = {1, 2, 2};
    o.method.cm_unet.views = {.crop_size = 64, .view_size = 48, .max_shift = 15};
    o.method.cm_unet.projector_hidden = 16;
    o.method.cm_unet.embedding = 8;
    o.epochs = 3;
    o.batch_size = 5;  // 12 images: steps of 5, 5 and 2
    o.warmup_epochs = 1;
    o.lr = 2e-3;
    return o;
  }
  PretrainRequest pretrain_request(const std::string& name) const {
    PretrainRequest r;
    r.stores = {dir / "store"};
    r.out = dir / name;
    return r;
  }
  static FinetuneOptions finetune_options() {
    FinetuneOptions o;
    o.unet = {1, 2, 2};
    o.epochs = 4;
    o.batch_size = 4;
    o.lr = 5e-3;
    return o;
  }
  FinetuneRequest finetune_request(const std::string& name) const {
    FinetuneRequest r;
    r.store = dir / "store";
    r.out = dir / name;
    return r;
  }

  // An observer that raises the stop flag after some step, as a signal would.
  static Observer stopping_after(std::int64_t step, std::atomic<bool>& flag) {
    Observer observer;
    observer.on_step = [step, &flag](const StepEvent& e) { flag = e.step >= step; };
    return observer;
  }

  static void expect_cancelled(const std::function<void()>& run) {
    try {
      run();
      FAIL() << "was not stopped";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCancelled) << e.what();
    }
  }

  static ErrorCode code_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    ADD_FAILURE() << "no Error was thrown";
    return ErrorCode::kInternal;
  }

  static void expect_same_tensors(const fs::path& a, const fs::path& b) {
    const SafetensorsFile x = SafetensorsFile::open(a), y = SafetensorsFile::open(b);
    ASSERT_EQ(x.tensors().size(), y.tensors().size());
    for (const TensorRef& t : x.tensors()) {
      EXPECT_TRUE(std::ranges::equal(t.bytes, y.at(t.name).bytes)) << t.name;
    }
  }

  // An observer that puts a folder where the state goes, so that writing it fails.
  static Observer blocking_state_of(const fs::path& run) {
    Observer observer;
    observer.on_step = [run](const StepEvent&) {
      fs::create_directories(run / "checkpoints/last.state.safetensors/in_the_way");
    };
    return observer;
  }

  // Of each line of metrics.jsonl.
  static std::vector<double> losses(const fs::path& file) {
    std::vector<double> values;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) values.push_back(Json::parse(line)["loss"].get<double>());
    return values;
  }

  fs::path dir;
};

TEST_F(Loops, PretrainingResumesBitForBitInTheMiddleOfAnEpoch) {
  const PretrainOptions options = pretrain_options();
  pretrain(options, pretrain_request("whole"), {});
  auto request = pretrain_request("parts");
  for (const std::int64_t stop_step : {2, 4, 5}) {
    std::atomic<bool> flag{false};
    request.stop_flag = &flag;
    request.resume = stop_step > 2;
    expect_cancelled([&] { pretrain(options, request, stopping_after(stop_step, flag)); });
  }
  request.stop_flag = nullptr;
  request.resume = true;
  pretrain(options, request, {});
  expect_same_tensors(dir / "whole/checkpoints/last.state.safetensors",
                      dir / "parts/checkpoints/last.state.safetensors");
  expect_same_tensors(dir / "whole/checkpoints/last.safetensors", dir / "parts/checkpoints/last.safetensors");
  EXPECT_EQ(losses(dir / "whole/metrics.jsonl"), losses(dir / "parts/metrics.jsonl"));
  EXPECT_EQ(losses(dir / "whole/metrics.jsonl").size(), 3U);
}

TEST_F(Loops, FineTuningResumesBitForBit) {
  const FinetuneOptions options = finetune_options();
  const Json whole = finetune(options, finetune_request("whole"), {});
  auto request = finetune_request("parts");
  std::atomic<bool> flag{false};
  request.stop_flag = &flag;
  expect_cancelled([&] { finetune(options, request, stopping_after(3, flag)); });
  request.stop_flag = nullptr;
  request.resume = true;
  const Json parts = finetune(options, request, {});
  expect_same_tensors(dir / "whole/checkpoints/last.state.safetensors",
                      dir / "parts/checkpoints/last.state.safetensors");
  expect_same_tensors(dir / "whole/checkpoints/best.safetensors", dir / "parts/checkpoints/best.safetensors");
  EXPECT_EQ(whole["best_step"], parts["best_step"]);
  EXPECT_EQ(whole["best_val_dice"], parts["best_val_dice"]);
}

TEST_F(Loops, AStopAtTheLastStepIsTheEnd) {
  std::atomic<bool> flag{false};
  auto request = pretrain_request("run");
  request.stop_flag = &flag;
  const Json record = pretrain(pretrain_options(), request, stopping_after(9, flag));
  EXPECT_EQ(record["exit"], "finished");
  EXPECT_EQ(losses(dir / "run/metrics.jsonl").size(), 3U);
}

TEST_F(Loops, AStopFileStopsARunOnce) {
  auto request = finetune_request("run");
  Observer observer;
  observer.on_step = [&](const StepEvent& e) {
    if (e.step == 3) std::ofstream(dir / "run" / kStopFile) << "x";
  };
  expect_cancelled([&] { finetune(finetune_options(), request, observer); });
  request.resume = true;
  EXPECT_EQ(finetune(finetune_options(), request, {})["exit"], "finished");
}

TEST_F(Loops, TheModelIsWrittenBeforeTheState) {
  EXPECT_THROW(pretrain(pretrain_options(), pretrain_request("pre"), blocking_state_of(dir / "pre")), Error);
  EXPECT_TRUE(fs::exists(dir / "pre/checkpoints/last.safetensors"));
  EXPECT_THROW(finetune(finetune_options(), finetune_request("fine"), blocking_state_of(dir / "fine")), Error);
  EXPECT_TRUE(fs::exists(dir / "fine/checkpoints/last.safetensors"));
}

TEST_F(Loops, OtherDataAreRefusedOnResume) {
  std::atomic<bool> flag{false};
  auto request = finetune_request("fine");
  request.stop_flag = &flag;
  request.labels = 4;
  expect_cancelled([&] { finetune(finetune_options(), request, stopping_after(1, flag)); });
  request.stop_flag = nullptr;
  request.resume = true;
  request.labels = 5;
  EXPECT_EQ(code_of([&] { finetune(finetune_options(), request, {}); }), ErrorCode::kInvalidArgument);
  request.labels = 4;
  EXPECT_NO_THROW(finetune(finetune_options(), request, {}));
  auto pre = pretrain_request("pre");
  pretrain(pretrain_options(), pre, {});
  pre.resume = true;
  EXPECT_NO_THROW(pretrain(pretrain_options(), pre, {}));
  pre.stores.push_back(dir / "store");
  EXPECT_EQ(code_of([&] { pretrain(pretrain_options(), pre, {}); }), ErrorCode::kInvalidArgument);
}

TEST_F(Loops, OtherInitialWeightsAreRefusedOnResume) {
  pretrain(pretrain_options(), pretrain_request("pre"), {});
  PretrainOptions other = pretrain_options();
  other.seed = 7;
  pretrain(other, pretrain_request("other"), {});
  auto request = finetune_request("fine");
  request.init = dir / "pre";
  finetune(finetune_options(), request, {});
  request.resume = true;
  EXPECT_NO_THROW(finetune(finetune_options(), request, {}));
  request.init = dir / "other";
  EXPECT_EQ(code_of([&] { finetune(finetune_options(), request, {}); }), ErrorCode::kInvalidArgument);
  request.init.clear();
  EXPECT_NO_THROW(finetune(finetune_options(), request, {}));
}

TEST_F(Loops, SameSeedSameWeightsAndAnotherSeedOthers) {
  FinetuneOptions options = finetune_options();
  options.epochs = 1;
  finetune(options, finetune_request("a"), {});
  finetune(options, finetune_request("b"), {});
  expect_same_tensors(dir / "a/checkpoints/last.safetensors", dir / "b/checkpoints/last.safetensors");
  options.seed = 43;
  finetune(options, finetune_request("c"), {});
  const auto weight = [&](const char* run) {
    return to_tensor(SafetensorsFile::open(dir / run / "checkpoints/last.safetensors").at("conv_last.weight"));
  };
  EXPECT_FALSE(weight("a").equal(weight("c")));
}

TEST_F(Loops, ImagesMayWaitInHalfPrecision) {
  const auto first_loss = [&](const char* run) {  // later ones magnify the difference
    return losses(dir / run / "metrics.jsonl").at(0);
  };
  PretrainOptions pre = pretrain_options();
  const auto needed = [&] { return plan_pretrain(pre, pretrain_request("dry"))["memory_estimate_gib"].get<double>(); };
  const double in_singles = needed();
  pretrain(pre, pretrain_request("pre"), {});
  pre.image_type = at::kHalf;
  EXPECT_NEAR(in_singles - needed(), 12.0 * 64 * 64 * 2 / (1 << 30), 1e-9);
  pretrain(pre, pretrain_request("pre-half"), {});
  FinetuneOptions fine = finetune_options();
  finetune(fine, finetune_request("fine"), {});
  fine.image_type = at::kHalf;
  finetune(fine, finetune_request("fine-half"), {});
  EXPECT_NEAR(first_loss("pre"), first_loss("pre-half"), 0.01);  // rounding at the eleventh bit
  EXPECT_NE(first_loss("pre"), first_loss("pre-half"));
  EXPECT_NEAR(first_loss("fine"), first_loss("fine-half"), 0.01);
  EXPECT_NE(first_loss("fine"), first_loss("fine-half"));
}

TEST_F(Loops, FineTuningTakesThePretrainedWeightsButNotTheLastLayer) {
  pretrain(pretrain_options(), pretrain_request("pre"), {});
  FinetuneOptions options = finetune_options();
  options.steps = 1;
  options.lr = 1e-12;  // one step that moves nothing visible
  auto request = finetune_request("fine");
  request.init = dir / "pre";
  const Json record = finetune(options, request, {});
  EXPECT_EQ(record["init"]["method"], "cm_unet");
  EXPECT_EQ(record["init"]["new"].size(), 2U);
  const SafetensorsFile pre = SafetensorsFile::open(dir / "pre/checkpoints/last.safetensors");
  const SafetensorsFile fine = SafetensorsFile::open(dir / "fine/checkpoints/last.safetensors");
  const auto difference = [&](const char* name) {
    return (to_tensor(pre.at(name)) - to_tensor(fine.at(name))).abs().max().item<double>();
  };
  EXPECT_LT(difference("up_conv1.double_conv.double_conv.3.weight"), 1e-6);
  EXPECT_GT(difference("conv_last.weight"), 1e-3);
}

TEST_F(Loops, WrongInitialWeightsAreRefused) {
  save_tensors(dir / "other.safetensors", {{"something.weight", torch::zeros({3})}}, {});
  auto request = finetune_request("x");
  request.init = dir / "other.safetensors";
  EXPECT_EQ(code_of([&] { finetune(finetune_options(), request, {}); }), ErrorCode::kInvalidArgument);
  pretrain(pretrain_options(), pretrain_request("pre"), {});
  request.init = dir / "pre";
  FinetuneOptions wider = finetune_options();
  wider.unet.base_width = 4;
  EXPECT_EQ(code_of([&] { finetune(wider, request, {}); }), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(dir / "x"));  // nothing was begun
}

TEST_F(Loops, TheTestSplitIsNeverRead) {
  // Its images become NaN: had any been used, the loss or the validation would show it.
  const fs::path file = dir / "store/images-00000.safetensors";
  std::string bytes = read_file(file);
  const std::vector<float> poison(64 * 64 * 2, std::nanf(""));
  const std::size_t tail = poison.size() * sizeof(float);
  std::memcpy(bytes.data() + bytes.size() - tail, poison.data(), tail);
  std::ofstream(file, std::ios::binary) << bytes;
  pretrain(pretrain_options(), pretrain_request("pre"), {});
  const Json record = finetune(finetune_options(), finetune_request("fine"), {});
  EXPECT_TRUE(std::isfinite(record["best_val_dice"].get<double>()));
  EXPECT_EQ(record["image_ids"].size(), 6U);
  PretrainOptions greedy = pretrain_options();
  greedy.splits = "pretrain,test";
  EXPECT_EQ(code_of([&] { pretrain(greedy, pretrain_request("no"), {}); }), ErrorCode::kInvalidArgument);
}

// 12 images in passes of 11: the one left over makes no pass, and must not count as one.
TEST_F(Loops, APassThatIsLeftOutWeighsNothing) {
  PretrainOptions options = pretrain_options();
  options.batch_size = 11;
  options.epochs = 1;
  pretrain(options, pretrain_request("one"), {});
  options.accumulate = 2;
  options.lr = pretrain_options().lr;
  pretrain(options, pretrain_request("two"), {});
  EXPECT_EQ(losses(dir / "one/metrics.jsonl"), losses(dir / "two/metrics.jsonl"));
}

TEST_F(Loops, ANonFiniteLossNamesTheImages) {
  const fs::path file = dir / "store/images-00000.safetensors";
  std::string bytes = read_file(file);
  const float nan = std::nanf("");
  // The first pixel of image 7, in the train split.
  const std::size_t offset = bytes.size() - (17 - 7) * 64 * 64 * sizeof(float);
  std::memcpy(bytes.data() + offset, &nan, sizeof nan);
  std::ofstream(file, std::ios::binary) << bytes;
  const auto expect_named = [](const std::function<void()>& run) {
    try {
      run();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kNumeric);
      EXPECT_NE(std::string(e.what()).find("p7"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("learning rate"), std::string::npos);
    }
  };
  for (const int base_width : {2, 16}) {  // LibTorch's kernels, and the native ones
    FinetuneOptions options = finetune_options();
    options.unet.base_width = base_width;
    expect_named([&] { finetune(options, finetune_request(concat("fine", base_width)), {}); });
  }
  for (const ssl::MethodKind method : {ssl::MethodKind::kCmUnet, ssl::MethodKind::kMocoV2}) {  // with diagnostics
    PretrainOptions options = pretrain_options();
    options.method.kind = method;
    const std::string name = concat("pre_", ssl::to_string(method));
    expect_named([&] { pretrain(options, pretrain_request(name), {}); });
    EXPECT_NE(read_file(dir / name / "run.json").find("diverged"), std::string::npos);
  }
}

TEST_F(Loops, LabelsAndSplitsAreChecked) {
  auto request = finetune_request("x");
  request.labels = 7;
  EXPECT_EQ(code_of([&] { finetune(finetune_options(), request, {}); }), ErrorCode::kInvalidArgument);
  request.labels = 3;
  EXPECT_EQ(finetune(finetune_options(), request, {})["image_ids"].size(), 3U);
  EXPECT_EQ(code_of([&] { finetune(finetune_options(), request, {}); }), ErrorCode::kInvalidArgument);  // not empty
  EXPECT_EQ(code_of([&] { pretrain(pretrain_options(), {{dir / "none"}, dir / "y"}, {}); }), ErrorCode::kNotFound);
}

TEST_F(Loops, TwoHundredStepsLearnVessels) {
  FinetuneOptions options = finetune_options();
  options.unet.base_width = 4;
  options.steps = 200;
  options.augment.one_of_probability = 0.5;
  options.validate_every_steps = 200;
  auto request = finetune_request("learn");
  finetune(options, request, {});
  const Model model = load_model(dir / "learn/checkpoints/last.safetensors");
  const dataset::Store store = dataset::Store::open(dir / "store");
  const augment::DeviceStore train =
      augment::to_device(store, std::vector<std::size_t>{6, 7, 8, 9, 10, 11}, at::Device(at::kCPU));
  EXPECT_GT(mean_dice(vessel_probability(model.unet, train.images), train.masks), 0.8);
}

TEST_F(Loops, TheDryRunWritesNothing) {
  PretrainOptions options = pretrain_options();
  options.precision = Precision::kBf16;  // a step of it may take minutes on a CPU
  const Json plan = plan_pretrain(options, pretrain_request("dry"));
  EXPECT_EQ(plan["steps"], 9);
  EXPECT_GT(plan["memory_estimate_gib"].get<double>(), 0);
  EXPECT_GT(plan["expected_hours"].get<double>(), 0);
  EXPECT_EQ(plan["expected_hours_measured_in"], "fp32");
  EXPECT_EQ(plan["config"]["pretrain"]["precision"], "bf16");
  EXPECT_EQ(plan_finetune(finetune_options(), finetune_request("dry"))["steps"], 8);
  EXPECT_FALSE(fs::exists(dir / "dry"));
}

}  // namespace
}  // namespace cmunet::train
