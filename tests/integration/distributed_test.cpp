// SPDX-License-Identifier: Apache-2.0
// Several processes of cmunet-train on this machine, as torchrun would start them: the same weights as one process, all
// stop together, and what is left when one of them dies is a run that others continue.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/json.h"
#include "cmunet/base/safetensors.h"
#include "cmunet/dataset/store.h"
#include "cmunet/phantom/phantom.h"
#include "free_port.h"

namespace cmunet {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kConfig = R"([model]
base_width = 2
[pretrain]
steps = 10
batch_size = 7
lr = 1e-3
warmup_epochs = 0.5
precision = "fp64"
[pretrain.views]
crop_size = 48
view_size = 32
max_shift = 15
[pretrain.cm_unet]
projector_hidden = 16
embedding = 8
[pretrain.moco_v2]
queue_size = 20
[pretrain.moco_v2.crop]
size = 32
[pretrain.spark.crop]
size = 32
[finetune]
steps = 10
batch_size = 5
lr = 1e-3
precision = "fp64"
)";

// 14 images to pre-train on, 9 of them labelled, and 3 to validate: epochs of 7 and 7, of 5 and 4.
void write_store(const fs::path& dir) {
  fs::create_directories(dir);
  dataset::StoreWriter writer(dir, 64, 64);
  for (std::uint64_t i = 0; i < 17; ++i) {
    const phantom::Phantom p = phantom::make_phantom({.size = 64, .field_mm = 60}, 100 + i);
    image::ImageF picture(64, 64);
    std::transform(p.image.begin(), p.image.end(), picture.begin(),
                   [](std::uint8_t grey) { return (static_cast<float>(grey) - 128) / 40; });
    dataset::Record record;
    record.id = record.group = record.source = concat("p", i);
    record.split = i < 5 ? dataset::Split::kPretrain : i < 14 ? dataset::Split::kTrain : dataset::Split::kVal;
    writer.add(record, picture, i < 5 ? image::Mask{} : p.mask);
  }
  writer.finish({{"preprocessing", {{"size", 64}}}});
}

class Processes : public ::testing::Test {
 protected:
  Processes() : dir(fs::temp_directory_path() / concat("cmunet_processes_", ::getpid())) {
    fs::remove_all(dir);
    write_store(dir / "store");
    std::ofstream(dir / "tiny.toml") << kConfig;
  }
  ~Processes() override {
    for (const pid_t pid : running) ::kill(pid, SIGKILL);
    fs::remove_all(dir);
  }

  // How processes find each other: a file, or the first one's port.
  enum class Meeting { kFile, kPort };

  // Starts `size` processes with `arguments`, and `rank_1_arguments` in the second.
  void start(int size, const std::string& arguments, const std::string& rank_1_arguments = "",
             Meeting meeting = Meeting::kFile) {
    const std::string port = std::to_string(free_port()), file = dir / concat("meeting", ++meetings);
    running.clear();
    for (int rank = 0; rank < size; ++rank) {
      const std::string command =
          concat("exec ", CMUNET_TRAIN_PROGRAM, " ", arguments, rank == 1 ? " " + rank_1_arguments : "", " --config ",
                 dir / "tiny.toml", " --threads 1 --quiet > ", dir / "out.txt", " 2> ", errors_of(rank));
      const pid_t pid = ::fork();
      if (pid == 0) {
        for (const auto& [name, value] : {std::pair{"RANK", rank}, std::pair{"WORLD_SIZE", size}}) {
          ::setenv(name, std::to_string(value).c_str(), 1);
        }
        ::setenv("LOCAL_WORLD_SIZE", std::to_string(size).c_str(), 1);
        if (meeting == Meeting::kFile) {
          ::setenv("CMUNET_MEETING_FILE", file.c_str(), 1);
        } else {
          ::setenv("MASTER_ADDR", "127.0.0.1", 1);
          ::setenv("MASTER_PORT", port.c_str(), 1);
        }
        ::setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
        ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        ::_exit(127);
      }
      running.push_back(pid);
    }
  }

  // Exit statuses by rank, −1 for one that a signal ended; fails when they do not end in time.
  std::vector<int> finish(std::chrono::seconds limit = 90s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    std::vector<int> statuses;
    for (const pid_t pid : running) {
      int status = 0;
      while (::waitpid(pid, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > deadline) {
          ADD_FAILURE() << "a process did not end within " << limit.count() << " s";
          ::kill(pid, SIGKILL);
        }
        std::this_thread::sleep_for(10ms);
      }
      statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    running.clear();
    return statuses;
  }

  void run(int size, const std::string& arguments) {
    start(size, arguments);
    EXPECT_EQ(finish(), std::vector<int>(static_cast<std::size_t>(size), 0)) << read_file(errors_of(0));
  }

  // Of the epochs of run1 and run2.
  void expect_like_losses(const std::vector<double>& shares) const {
    std::ifstream one(dir / "run1/metrics.jsonl"), two(dir / "run2/metrics.jsonl");
    std::size_t rows = 0;
    for (std::string a, b; rows < shares.size() && std::getline(one, a) && std::getline(two, b); ++rows) {
      const auto loss = Json::parse(a)["loss"].get<double>();
      EXPECT_NEAR(Json::parse(b)["loss"].get<double>(), loss, shares[rows] * loss) << "epoch " << rows + 1;
    }
    EXPECT_EQ(rows, shares.size());
  }

  fs::path errors_of(int rank) const { return dir / concat("errors", rank, ".txt"); }
  std::string pretrain(const std::string& method, const std::string& out) const {
    return concat("pretrain --method ", method, " --store ", dir / "store", " --out ", dir / out);
  }
  std::string finetune(const std::string& out) const {
    return concat("finetune --store ", dir / "store", " --out ", dir / out);
  }
  Json record_of(const std::string& out) const { return load_json(dir / out / "run.json"); }
  void wait_for_rows(const std::string& out, int rows) const {
    for (int i = 0; i < 6000; ++i) {
      std::ifstream in(dir / out / "metrics.jsonl");
      int lines = 0;
      for (std::string line; std::getline(in, line);) ++lines;
      if (lines >= rows) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL() << out << " did not get " << rows << " rows of metrics";
  }

  // Weights, optimiser, queue: everything that is saved to go on with.
  void expect_same_state(const std::string& one, const std::string& other, double tolerance) const {
    const auto open = [&](const std::string& run) {
      return SafetensorsFile::open(dir / run / "checkpoints/last.state.safetensors");
    };
    const SafetensorsFile a = open(one), b = open(other);
    ASSERT_EQ(a.tensors().size(), b.tensors().size());
    double largest = 0;
    for (const TensorRef& tensor : a.tensors()) {
      if (tensor.dtype != DType::kF64) {
        EXPECT_TRUE(std::ranges::equal(tensor.bytes, b.at(tensor.name).bytes)) << tensor.name;
        continue;
      }
      const auto x = tensor.as<double>(), y = b.at(tensor.name).as<double>();
      ASSERT_EQ(x.size(), y.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(x[i], y[i], tolerance) << tensor.name << " of " << other;
        largest = std::max(largest, std::abs(x[i] - y[i]));
      }
    }
    RecordProperty("largest_difference_" + other, concat(largest));
  }

  fs::path dir;
  std::vector<pid_t> running;
  int meetings = 0;
};

// In 64 bits, where rounding cannot hide behind Adam's division by small gradients.
TEST_F(Processes, GiveTheWeightsOfOneProcess) {
  for (const std::string method : {"cm_unet", "moco_v2"}) {
    for (const int size : {1, 2, 4}) run(size, pretrain(method, concat(method, size)));
    expect_same_state(method + "1", method + "2", 1e-7);
    expect_same_state(method + "1", method + "4", 1e-7);
  }
  for (const int size : {1, 2, 4}) run(size, finetune(concat("finetune", size)));
  expect_same_state("finetune1", "finetune2", 1e-7);
  expect_same_state("finetune1", "finetune4", 1e-7);
  EXPECT_EQ(record_of("finetune4")["processes"], 4);
  EXPECT_NEAR(record_of("finetune1")["best_val_dice"].get<double>(),
              record_of("finetune4")["best_val_dice"].get<double>(), 1e-7);
}

TEST_F(Processes, GiveTheWeightsOfOneProcessInOtherMethodsAndWithAccumulation) {
  const std::string more = " --set pretrain.steps=4 --set pretrain.accumulate=2 --set pretrain.batch_size=4";
  for (const std::string method : {"cm_unet", "spark"}) {
    for (const int size : {1, 2}) run(size, pretrain(method, concat(method, size)) + more);
    expect_same_state(method + "1", method + "2", 1e-7);
  }
}

TEST_F(Processes, LearnAlikeIn32Bits) {
  const std::string single = " --set pretrain.precision=fp32";
  for (const int size : {1, 2}) run(size, pretrain("cm_unet", concat("run", size)) + single);
  expect_like_losses({1e-3, 1e-3, 1e-3, 1e-3, 1e-3});
}

TEST_F(Processes, LearnAlikeByNativeKernelsAndMeetAtAPort) {
  const std::string native = " --set pretrain.precision=fp32 --set model.base_width=16";
  run(1, pretrain("cm_unet", "run1") + native);
  start(2, pretrain("cm_unet", "run2") + native, "", Meeting::kPort);
  EXPECT_EQ(finish(), (std::vector<int>{0, 0})) << read_file(errors_of(0));
  // AdamW makes steps of one size even of gradients that are all rounding, so the runs drift apart.
  expect_like_losses({1e-3, 2e-2, 2e-2, 2e-2, 2e-2});
}

TEST_F(Processes, AnotherNumberOfThemGoesOnToTheSameWeights) {
  run(1, pretrain("moco_v2", "whole"));
  start(2, pretrain("moco_v2", "parts") + " --set pretrain.max_minutes=1e-6");
  EXPECT_EQ(finish(), (std::vector<int>{6, 6}));
  EXPECT_EQ(record_of("parts")["step"], 1);
  run(3, pretrain("moco_v2", "parts") + " --auto-resume");
  expect_same_state("whole", "parts", 1e-7);
}

TEST_F(Processes, ASignalToOneStopsAll) {
  start(2, pretrain("mae", "run") + " --set pretrain.mae.crop.size=32 --set pretrain.steps=1000000");
  wait_for_rows("run", 1);
  ::kill(running[1], SIGTERM);
  EXPECT_EQ(finish(), (std::vector<int>{6, 6}));
  EXPECT_EQ(record_of("run")["exit"], "stopped: signal");
}

TEST_F(Processes, WhenOneDiesTheOthersSaySoAndTheRunGoesOn) {
  const std::string run = pretrain("cm_unet", "run") + " --set pretrain.steps=1000000";
  start(3, run + " --peer-timeout 20");
  wait_for_rows("run", 2);
  ::kill(running[1], SIGKILL);
  EXPECT_EQ(finish(30s), (std::vector<int>{3, -1, 3}));
  for (const int rank : {0, 2}) {
    EXPECT_NE(read_file(errors_of(rank)).find("lost the others"), std::string::npos) << read_file(errors_of(rank));
  }
  start(2, run + " --auto-resume --set pretrain.max_minutes=1e-6");
  EXPECT_EQ(finish(), (std::vector<int>{6, 6})) << read_file(errors_of(0));
  EXPECT_GE(record_of("run")["step"].get<int>(), 4 + 1);  // two epochs were saved
}

TEST_F(Processes, MustBeStartedAlike) {
  start(2, pretrain("cm_unet", "run"), "--set pretrain.lr=0.5");
  const std::vector<int> statuses = finish();
  EXPECT_EQ(statuses, (std::vector<int>{2, 2}));
  EXPECT_NE(read_file(errors_of(0)).find("other options or data"), std::string::npos) << read_file(errors_of(0));
  start(5, pretrain("cm_unet", "other") + " --set pretrain.batch_size=4");
  EXPECT_EQ(finish(), std::vector<int>(5, 2));
  EXPECT_NE(read_file(errors_of(0)).find("5 processes share a batch of 4"), std::string::npos);
}

TEST_F(Processes, WaitForTheOthersOnlySoLong) {
  const std::string command = concat("MASTER_ADDR=127.0.0.1 MASTER_PORT=1 RANK=1 WORLD_SIZE=2 ", CMUNET_TRAIN_PROGRAM,
                                     " ", finetune("run"), " --peer-timeout 2 2> ", errors_of(1));
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_NE(read_file(errors_of(1)).find("lost the others in meeting"), std::string::npos) << read_file(errors_of(1));
}

}  // namespace
}  // namespace cmunet
