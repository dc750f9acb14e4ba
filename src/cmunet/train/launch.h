// SPDX-License-Identifier: Apache-2.0
// Which of the processes of a run this one is, as told by the program that started them.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace cmunet::train {

/// A process's place, and where all of them meet.
struct Launch {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< among those on this machine: which GPU, how many threads
  bool on_one_machine = false;         ///< surely all of them
  std::string host = "127.0.0.1";      ///< of the process of rank 0
  int port = 29500;
  std::string file;        ///< when not empty, they meet in this file instead: new, and visible to all
  bool is_served = false;  ///< torchrun already serves the meeting point
  std::string attempt;     ///< torchrun's count of restarts: keeps their meetings apart
  std::string launcher;    ///< "torchrun", "mpirun", "SLURM"; empty for a process on its own
  bool alone() const { return size == 1; }
};

/// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// Understands, in this order:
///  * RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE (torchrun, or set by hand);
///  * OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI's mpirun);
///  * PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS (MPICH's and Intel's mpirun; not what srun sets of these);
///  * SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE (srun).
/// The meeting point is MASTER_ADDR and MASTER_PORT, or the file CMUNET_MEETING_FILE. Without them SLURM's first node
/// is taken, with a port from the job's number; elsewhere this machine, when all processes are on it.
/// @throws Error kInvalidArgument for numbers that make no sense, or when the meeting point cannot be known.
Launch read_launch(const Environment& environment);
/// Of this process's environment.
Launch read_launch();

/// "gpu[07-09,12],login" -> "gpu07". Empty for an empty list.
std::string first_host(const std::string& slurm_nodes);

/// `requested` threads, or an even share of this machine's cores when it is 0.
int threads_of(const Launch& launch, int requested);
/// "cuda" with several processes becomes "cuda:<local rank>"; anything else stays.
std::string device_of(const Launch& launch, const std::string& requested);

}  // namespace cmunet::train
