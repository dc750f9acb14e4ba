// SPDX-License-Identifier: Apache-2.0
// The communicator between processes, on LibTorch's c10d: Gloo between CPUs, NCCL between GPUs where LibTorch was built
// with it.
#pragma once

#include <chrono>
#include <memory>

#include "cmunet/nn/communicator.h"
#include "cmunet/train/launch.h"

namespace cmunet::train {

/// Waits for the others of `launch` and joins them; a process on its own gets a communicator of one.
/// SIGPIPE is ignored from then on: a lost connection is an Error, not the silent end of this process.
/// @param timeout  how long to wait for another process, here and in every operation later
/// @throws Error kIo when they do not meet in time; kUnsupported when this program was built without Gloo.
std::unique_ptr<nn::Communicator> join_processes(const Launch& launch, std::chrono::milliseconds timeout);

}  // namespace cmunet::train
