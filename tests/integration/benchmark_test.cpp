// SPDX-License-Identifier: Apache-2.0
// The job list of `cmunet benchmark` and its claims.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "cmunet/base/config.h"
#include "cmunet/base/error.h"
#include "cmunet/base/file.h"
#include "cmunet/base/scratch_folder.h"
#include "cmunet/cli/benchmark_plan.h"
#include "cmunet/cli/claim.h"

namespace cmunet::cli {
namespace {

namespace fs = std::filesystem;

BenchmarkOptions options_of(const std::string& toml) {
  const ScratchFolder folder;
  write_file_atomic(folder.path() / "b.toml", toml);
  return read_benchmark_options(load_toml(folder.path() / "b.toml"), "b.toml");
}

const char* const kSmall = R"([benchmark]
methods = ["scratch", "mae", "half"]
labels = [18, 0]
seeds = [1, 2]
[benchmark.variants]
half = ["pretrain.method=mae", "pretrain.mae.mask_ratio=0.75"]
)";

TEST(BenchmarkPlan, HasEveryCellOnceAfterWhatItNeeds) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), true);
  EXPECT_EQ(jobs.size(), 2U * 2 + 2U * 2 * 3 * 3);  // pre-trainings, then fine-tunings, their validations and tests
  std::set<std::string> seen;
  for (const Job& job : jobs) {
    EXPECT_TRUE(job.needs.empty() || seen.contains(job.needs)) << job.name;
    EXPECT_TRUE(seen.insert(job.name).second) << job.name;
  }
  EXPECT_TRUE(seen.contains("pretrain/half-seed2"));
  EXPECT_TRUE(seen.contains("finetune/scratch-labels18-seed1"));
  EXPECT_TRUE(seen.contains("val/mae-labels18-seed2"));
  EXPECT_TRUE(seen.contains("test/mae-labelsall-seed2"));
  EXPECT_EQ(jobs.back().kind, JobKind::kTest);  // tests come last
  EXPECT_EQ(plan_benchmark(options_of(kSmall), false).size(), 28U);
}

TEST(BenchmarkPlan, VariantsCarryTheirSettings) {
  const std::vector<Job> jobs = plan_benchmark(options_of(kSmall), false);
  for (const Job& job : jobs) {
    if (job.name != "pretrain/half-seed1") continue;
    EXPECT_EQ(job.assignments, (std::vector<std::string>{"pretrain.method=mae", "pretrain.mae.mask_ratio=0.75"}));
  }
}

TEST(BenchmarkPlan, RegimesJoinTheFilesOwnSettingsAndMayHaveFewerLabels) {
  const auto options = options_of(std::string(kSmall) + R"([benchmark.regimes]
epochs = { set = ["finetune.steps=0", "finetune.epochs=256"], labels = [18] }
cl_dice = ["finetune.lambda_cl_dice=0.5"]
)");
  const std::vector<Job> jobs = plan_benchmark(options, false);
  std::map<std::string, int> cells;
  for (const Job& job : jobs) {
    if (job.kind != JobKind::kFinetune) continue;
    ++cells[job.regime];
    if (job.regime == "epochs") {
      EXPECT_EQ(job.labels, 18);
      EXPECT_EQ(job.assignments, (std::vector<std::string>{"finetune.steps=0", "finetune.epochs=256"}));
    }
  }
  EXPECT_EQ(cells, (std::map<std::string, int>{{"", 12}, {"cl_dice", 12}, {"epochs", 6}}));
  EXPECT_EQ(jobs.size(), 4U + 2 * 30);  // with validations; a regime needs no pre-training of its own
  EXPECT_EQ(jobs[4].regime, "");        // the file's own settings come first
}

TEST(BenchmarkPlan, AFolderKeepsWhatItsNamesMean) {
  const auto config = [](const std::string& toml) {
    const ScratchFolder folder;
    write_file_atomic(folder.path() / "b.toml", toml);
    return load_toml(folder.path() / "b.toml");
  };
  const std::string more = "more = [\"pretrain.method=mae\"]\n";
  const std::string regimes = "[benchmark.regimes]\nx = { labels = [18], set = [\"finetune.lr=1e-2\"] }\n";
  const std::string all = kSmall + more + regimes + "[finetune]\nlr = 1e-3\n";
  EXPECT_TRUE(is_continuation(config(all), config(all)));
  EXPECT_TRUE(is_continuation(config(kSmall + regimes + "[finetune]\nlr = 1e-3\n"), config(all)));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = all;
    return config(text.replace(text.find(from), from.size(), to));
  };
  EXPECT_FALSE(is_continuation(config(all), changed("lr = 1e-3", "lr = 1e-4")));
  EXPECT_FALSE(is_continuation(config(all), changed("mask_ratio=0.75", "mask_ratio=0.5")));
  EXPECT_FALSE(is_continuation(config(all), changed("finetune.lr=1e-2", "finetune.lr=1e-1")));
  EXPECT_TRUE(is_continuation(config(all), changed("labels = [18], set", "labels = [18, 0], set")));
  EXPECT_TRUE(is_continuation(config(all), changed("seeds = [1, 2]", "seeds = [1, 2, 3]")));
}

TEST(BenchmarkPlan, RefusesWhatItDoesNotKnow) {
  const std::string one = "[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1]\n[benchmark.variants]\n";
  EXPECT_THROW(options_of(one + "mae = [\"pretrain.lr=1e-2\"]\n"), Error);  // a method's own name
  EXPECT_THROW(options_of(one + "v = [\"finetune.lr=1e-2\"]\n"), Error);    // that is a regime's
  EXPECT_THROW(options_of(one + "v = [\"model.base_width=4\"]\n"), Error);  // and that the file's
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\", \"mae\"]\nlabels = [1]\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of(std::string(kSmall) + "[benchmark.regimes]\nx = { labels = [7] }\n"), Error);
  EXPECT_THROW(options_of(std::string(kSmall) + "[benchmark.regimes]\nx = [1]\n"), Error);
  EXPECT_THROW(options_of("[other]\nx = 1\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"simclr\"]\nlabels = [1]\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = []\nseeds = [1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1, 1]\n"), Error);
  EXPECT_THROW(options_of("[benchmark]\nmethods = [\"mae\"]\nlabels = [1]\nseeds = [1]\nepochs = 3\n"), Error);
}

class Claims : public testing::Test {
 protected:
  bool can_be_taken() const { return Claim::take("finetune/x", folder.path()).has_value(); }
  static std::string host_name() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return host.data();
  }
  // A process that takes the claim and keeps it; `with_child`, after starting one that inherits it for a second.
  pid_t start_holder(bool with_child) const {
    std::array<int, 2> ready{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    const pid_t holder = ::fork();
    if (holder == 0) {
      const auto claim = Claim::take("finetune/x", folder.path());
      if (with_child && ::fork() == 0) ::execlp("sleep", "sleep", "1", nullptr);
      const char taken = claim ? 'y' : 'n';
      if (::write(ready[1], &taken, 1) == 1) ::pause();
      ::_exit(0);
    }
    char taken = 0;
    EXPECT_EQ(::read(ready[0], &taken, 1), 1);
    EXPECT_EQ(taken, 'y');
    ::close(ready[0]), ::close(ready[1]);
    return holder;
  }
  static void kill_and_wait(pid_t process) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }

  const ScratchFolder folder;
  const fs::path file = folder.path() / "claims" / "finetune-x.json";
};

TEST_F(Claims, AreGivenToOneAndGivenBack) {
  {
    const auto first = Claim::take("finetune/x", folder.path());
    ASSERT_TRUE(first.has_value());
    EXPECT_FALSE(can_be_taken());
    EXPECT_EQ(load_json(file)["pid"], ::getpid());
  }
  EXPECT_FALSE(fs::exists(file));
  EXPECT_TRUE(can_be_taken());
}

TEST_F(Claims, AreTakenOverFromTheKilledAndNotFromTheLiving) {
  const pid_t holder = start_holder(false);
  EXPECT_FALSE(can_be_taken());
  kill_and_wait(holder);
  EXPECT_TRUE(fs::exists(file));
  EXPECT_TRUE(can_be_taken());
}

TEST_F(Claims, AreHeldUntilTheRunOfAKilledProcessHasSaved) {
  const pid_t holder = start_holder(true);
  kill_and_wait(holder);
  EXPECT_FALSE(can_be_taken());
  for (int i = 0; i < 100 && !can_be_taken(); ++i) ::usleep(100'000);
  EXPECT_TRUE(can_be_taken());
}

TEST_F(Claims, OfNobodyAreFreeAndOfAnotherHostAreNot) {
  fs::create_directories(file.parent_path());
  write_file_atomic(file, "");  // killed before it was written
  EXPECT_TRUE(can_be_taken());
  save_json(file, {{"host", host_name()}, {"pid", ::getpid()}});  // a number that another process has got since
  EXPECT_TRUE(can_be_taken());
  save_json(file, {{"host", "elsewhere"}, {"pid", 1}});
  EXPECT_FALSE(can_be_taken());
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(Claims, OfTheDeadAreTakenOverByOne) {
  constexpr int kRounds = 200, kTakers = 4;
  std::array<std::atomic<int>, kRounds> holders{};
  std::barrier together(kTakers);
  const auto take = [&](bool prepares) {
    for (std::atomic<int>& holding : holders) {
      if (prepares) save_json(file, {{"host", host_name()}, {"pid", 999'999'999}});
      together.arrive_and_wait();
      const auto claim = Claim::take("finetune/x", folder.path());
      if (claim) ++holding;
      together.arrive_and_wait();  // nobody gives back before all have tried
    }
  };
  fs::create_directories(file.parent_path());
  std::vector<std::thread> threads;
  for (int i = 0; i < kTakers; ++i) threads.emplace_back(take, i == 0);
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& holding : holders) EXPECT_EQ(holding, 1);
}

}  // namespace
}  // namespace cmunet::cli
