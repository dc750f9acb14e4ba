// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/launch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "cmunet/base/error.h"

namespace cmunet::train {
namespace {

Launch read(const std::map<std::string, std::string>& variables) {
  return read_launch([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(ReadLaunch, IsAloneWithoutALauncher) {
  EXPECT_TRUE(read({}).alone());
  EXPECT_TRUE(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).alone());
  // A batch script of four tasks that runs the program itself, without srun.
  EXPECT_TRUE(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).alone());
}

TEST(ReadLaunch, UnderstandsTorchrun) {
  const Launch launch = read({{"RANK", "5"},
                              {"WORLD_SIZE", "8"},
                              {"LOCAL_RANK", "1"},
                              {"LOCAL_WORLD_SIZE", "4"},
                              {"MASTER_ADDR", "node7"},
                              {"MASTER_PORT", "29511"},
                              {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                              {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT_EQ(launch.rank, 5);
  EXPECT_EQ(launch.size, 8);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 4);
  EXPECT_EQ(launch.host, "node7");
  EXPECT_EQ(launch.port, 29511);
  EXPECT_TRUE(launch.is_served);
  EXPECT_EQ(launch.attempt, "2");
}

TEST(ReadLaunch, UnderstandsMpirun) {
  std::map<std::string, std::string> variables{
      {"OMPI_COMM_WORLD_RANK", "1"},       {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}, {"SLURM_PROCID", "0"},         {"SLURM_STEP_NUM_TASKS", "9"}};
  Launch launch = read(variables);
  EXPECT_EQ(launch.launcher, "mpirun");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.host, "127.0.0.1");
  EXPECT_FALSE(launch.is_served);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";  // on two machines
  variables["OMPI_COMM_WORLD_LOCAL_RANK"] = "0";
  EXPECT_THROW(read(variables), Error);
  variables["MASTER_ADDR"] = "head";
  EXPECT_EQ(read(variables).host, "head");
  EXPECT_EQ(read({{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}}).local_rank, 3);
}

TEST(ReadLaunch, KnowsOneMachineOnlyWhenItIsTold) {
  std::map<std::string, std::string> by_hand{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "127.0.0.1"}};
  EXPECT_TRUE(read(by_hand).on_one_machine);
  by_hand["MASTER_ADDR"] = "node1";  // the other may be elsewhere
  EXPECT_FALSE(read(by_hand).on_one_machine);
  by_hand["LOCAL_WORLD_SIZE"] = "2";
  EXPECT_TRUE(read(by_hand).on_one_machine);
  by_hand["LOCAL_WORLD_SIZE"] = "1";
  EXPECT_FALSE(read(by_hand).on_one_machine);
  EXPECT_FALSE(read({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"CMUNET_MEETING_FILE", "/shared/meet"}}).on_one_machine);
}

// As srun does with its PMI-2 plugin.
TEST(ReadLaunch, PrefersSlurmsNamesToThePmiThatSlurmSets) {
  std::map<std::string, std::string> variables{{"PMI_RANK", "3"},
                                               {"PMI_SIZE", "4"},
                                               {"SLURM_PROCID", "3"},
                                               {"SLURM_STEP_NUM_TASKS", "4"},
                                               {"SLURM_LOCALID", "1"},
                                               {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
                                               {"SLURM_STEP_NODELIST", "n[1-2]"}};
  EXPECT_EQ(read(variables).launcher, "SLURM");
  EXPECT_EQ(read(variables).local_rank, 1);
  EXPECT_EQ(read(variables).host, "n1");
  variables["MPI_LOCALRANKID"] = "1", variables["MPI_LOCALNRANKS"] = "4";  // MPICH within a job
  EXPECT_EQ(read(variables).launcher, "mpirun");
}

TEST(ReadLaunch, UnderstandsSlurm) {
  const Launch launch = read({{"SLURM_PROCID", "3"},
                              {"SLURM_STEP_NUM_TASKS", "6"},
                              {"SLURM_LOCALID", "1"},
                              {"SLURM_STEP_TASKS_PER_NODE", "2(x3)"},
                              {"SLURM_STEP_NODELIST", "gpu[07-09]"},
                              {"SLURM_JOB_ID", "123456"}});
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 6);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.host, "gpu07");
  EXPECT_EQ(launch.port, 23456);
  EXPECT_THROW(read({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}), Error);  // no list of nodes
}

TEST(ReadLaunch, RefusesNumbersThatMakeNoSense) {
  EXPECT_THROW(read({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), Error);
  EXPECT_THROW(read({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), Error);
  EXPECT_THROW(read({{"RANK", "one"}, {"WORLD_SIZE", "2"}}), Error);
  for (const char* port : {"a", "0", "65536"}) {
    EXPECT_THROW(read({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", port}}), Error);
  }
}

TEST(FirstHost, ReadsSlurmsLists) {
  EXPECT_EQ(first_host("gpu[07-09,12],login"), "gpu07");
  EXPECT_EQ(first_host("gpu[3,5]"), "gpu3");
  EXPECT_EQ(first_host("gpu[12]"), "gpu12");
  EXPECT_EQ(first_host("alpha,beta"), "alpha");
  EXPECT_EQ(first_host("alone"), "alone");
  EXPECT_EQ(first_host(""), "");
}

TEST(Launch, DividesCoresAndGivesEachItsGpu) {
  Launch launch;
  launch.size = launch.local_size = 1 << 20;
  launch.rank = launch.local_rank = 3;
  EXPECT_EQ(threads_of(launch, 0), 1);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  launch.local_size = 2;
  EXPECT_EQ(threads_of(launch, 0), std::max(1, cores / 2));
  EXPECT_EQ(threads_of({}, 0), std::max(1, cores));
  EXPECT_EQ(threads_of(launch, 6), 6);
  EXPECT_EQ(device_of(launch, "cuda"), "cuda:3");
  EXPECT_EQ(device_of(launch, "cuda:0"), "cuda:0");
  EXPECT_EQ(device_of(launch, "cpu"), "cpu");
  EXPECT_EQ(device_of({}, "cuda"), "cuda");
}

}  // namespace
}  // namespace cmunet::train
