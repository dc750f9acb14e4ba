// SPDX-License-Identifier: Apache-2.0
#include "cmunet/train/launch.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "cmunet/base/error.h"

namespace cmunet::train {
namespace {

// The names under which a launcher says the same four things.
struct Dialect {
  const char *launcher, *rank, *size, *local_rank, *local_size;
};
constexpr Dialect kDialects[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    // SLURM_NTASKS is also set in a batch script itself, which is a single process.
    {"SLURM", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};
constexpr int kFirstSlurmPort = 20000, kSlurmPorts = 10000;

// The number that `text` begins with: SLURM writes "4(x2),3".
int number(const char* name, const std::string& text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CMUNET_CHECK(error == std::errc() && (end == text.data() + text.size() || *end == '(' || *end == ',') && value >= 0,
               ErrorCode::kInvalidArgument, "[processes] ", name, " is '", text, "'; expected a number");
  return value;
}

std::optional<int> number_of(const Environment& environment, const char* name) {
  const std::optional<std::string> text = environment(name);
  return text && !text->empty() ? std::optional(number(name, *text)) : std::nullopt;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

void find_meeting_point(const Environment& environment, Launch& launch) {
  launch.file = environment("CMUNET_MEETING_FILE").value_or("");
  launch.is_served = environment("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
  launch.attempt = environment("TORCHELASTIC_RESTART_COUNT").value_or("");
  launch.port = number_of(environment, "MASTER_PORT").value_or(launch.port);
  CMUNET_CHECK(launch.port > 0 && launch.port < 1 << 16, ErrorCode::kInvalidArgument, "[processes] MASTER_PORT is ",
               launch.port, "; expected 1…65535");
  const std::optional<std::string> host = environment("MASTER_ADDR");
  if (host && !host->empty()) {
    launch.host = *host;
  } else if (launch.launcher == "SLURM") {
    launch.host = first_host(environment("SLURM_STEP_NODELIST").value_or(""));
    if (!environment("MASTER_PORT")) {
      launch.port = kFirstSlurmPort + number_of(environment, "SLURM_JOB_ID").value_or(0) % kSlurmPorts;
    }
  } else if (launch.local_size < launch.size) {
    launch.host.clear();
  }
  if (launch.host.empty() && launch.file.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                concat("[processes] ", launch.size, " processes on several machines do not know where to meet"),
                "set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a free port, for all of them");
  }
}

}  // namespace

Launch read_launch(const Environment& environment) {
  Launch launch;
  std::optional<int> local_size;
  for (const Dialect& dialect : kDialects) {
    const std::optional<int> rank = number_of(environment, dialect.rank), size = number_of(environment, dialect.size);
    const std::optional<int> local_rank = number_of(environment, dialect.local_rank);
    if (!rank || !size) continue;
    // srun with its PMI-2 plugin sets PMI_RANK too, and knows more by its own names.
    const bool is_srun = !local_rank && dialect.rank == std::string_view("PMI_RANK") && environment("SLURM_PROCID");
    if (is_srun) continue;
    CMUNET_CHECK(*rank < *size, ErrorCode::kInvalidArgument, "[processes] ", dialect.rank, " is ", *rank, " and ",
                 dialect.size, " ", *size, "; the rank must be smaller");
    launch.launcher = dialect.launcher;
    launch.rank = *rank;
    launch.size = *size;
    launch.local_rank = local_rank.value_or(launch.rank);
    local_size = number_of(environment, dialect.local_size);
    launch.local_size = std::clamp(local_size.value_or(launch.size), 1, launch.size);
    break;
  }
  if (launch.alone()) return {};
  find_meeting_point(environment, launch);
  launch.on_one_machine =
      local_size ? launch.local_size == launch.size : launch.file.empty() && is_loopback(launch.host);
  return launch;
}

Launch read_launch() {
  return read_launch([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

std::string first_host(const std::string& slurm_nodes) {
  const std::size_t end = slurm_nodes.find_first_of(",[");
  const std::string name = slurm_nodes.substr(0, end);
  if (end == std::string::npos || slurm_nodes[end] == ',') return name;
  // Within brackets stand numbers with their leading zeros, and ranges of them.
  return name + slurm_nodes.substr(end + 1, slurm_nodes.find_first_of(",-]", end) - end - 1);
}

int threads_of(const Launch& launch, int requested) {
  if (requested > 0) return requested;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / launch.local_size);
}

std::string device_of(const Launch& launch, const std::string& requested) {
  return requested == "cuda" && !launch.alone() ? concat("cuda:", launch.local_rank) : requested;
}

}  // namespace cmunet::train
